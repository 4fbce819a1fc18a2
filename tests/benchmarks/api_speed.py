"""Measure how many requests the API answers in a second, and how long each takes, beside moto in turns.

On SQLite and on PostgreSQL, both durable: a write is on disk when it is answered, while moto keeps all in memory. Each
is one process. What follows a write in the data plane is not in these figures, but in those of the control plane.
"""

import contextlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.benchmarks.api_load import Answered, Target
from tests.benchmarks.api_worlds import (
    ACCEPT,
    CONNECT,
    CREATE,
    LIST,
    LIST_FAR,
    POSTGRESQL,
    SHOW,
    SIGN_IN,
    SIGNED_SHOW,
    SQLITE,
    ours,
)
from tests.benchmarks.figures import Goal, Row, below, median, ratio_of_rounds, rounds_at_least
from tests.benchmarks.moto_peers import MOTO, MOTO_ALIVE, available, moto

OPERATIONS = (CREATE, SHOW, LIST, LIST_FAR, CONNECT, ACCEPT)
PEER_GOALS = {CREATE: 4.0, SHOW: 5.0}
"""How many times as many requests per second as moto, at GOAL_CLIENTS."""
GOAL_CLIENTS = 8
LIST_MS = 20.0
"""p99 of one client that lists 100 rows of the many."""


@dataclass(frozen=True, slots=True)
class ApiExtent:
    """How much is measured."""

    rounds_by_clients: Mapping[int, int]
    """How many clients send at once → in how many rounds."""
    crowd: int
    """Rows of the project whose endpoints are listed."""
    seconds: int = 1
    """Of one figure of one round; the generator knows whole seconds."""


FULL = ApiExtent({1: 3, GOAL_CLIENTS: 3, 64: 1}, 100_000)
QUICK = ApiExtent({GOAL_CLIENTS: 1}, 10_000)
LIST_CLIENTS = 1
"""With more clients than processes, lists wait for each other: what one takes shows alone."""

Results = Mapping[tuple[str, str, int], Sequence[Answered]]
"""(server, operation, clients) → one answer for each round."""


def measure(extent: ApiExtent) -> Results:
    """Run all servers and measure everything in turns; the order of the servers changes with each round."""
    results: dict[tuple[str, str, int], list[Answered]] = defaultdict(list)
    with contextlib.ExitStack() as stack:
        targets = [stack.enter_context(ours(database, extent.crowd)) for database in (SQLITE, POSTGRESQL)]
        targets += [stack.enter_context(moto(name)) for name in available()]
        for target in targets:
            for what in target.requests:
                target.run(what, 1, extent.seconds)
        for number in range(max(extent.rounds_by_clients.values())):
            for what, clients in _figures(extent, number):
                for target in targets if number % 2 else reversed(targets):
                    if _has(target, what, clients):
                        results[target.name, what, clients].append(target.run(what, clients, extent.seconds))
    return results


def _figures(extent: ApiExtent, number: int) -> Sequence[tuple[str, int]]:
    """Return what is measured in a round, and from how many clients."""
    counts = [clients for clients, rounds in extent.rounds_by_clients.items() if number < rounds]
    figures = [(what, clients) for what in OPERATIONS for clients in counts]
    lists = [(what, LIST_CLIENTS) for what in (LIST, LIST_FAR)]
    figures += [figure for figure in lists if figure not in figures]
    return [*figures, (SIGNED_SHOW, GOAL_CLIENTS), (SIGN_IN, GOAL_CLIENTS)]


def _has(target: Target, what: str, clients: int) -> bool:
    # Who proves themselves how costs the same on both databases.
    is_proof = what in {SIGNED_SHOW, SIGN_IN}
    return what in target.requests and not (is_proof and target.name != SQLITE)


def rate_rows(results: Results) -> list[Row]:
    """Return the requests per second, beside moto where it has the same request."""
    rows: list[Row] = []
    for (server, what, clients), answers in sorted(results.items(), key=lambda item: item[0]):
        if server in {MOTO, MOTO_ALIVE}:
            continue
        peers = [peer for peer in (MOTO, MOTO_ALIVE) if (peer, what, clients) in results]
        rows += [_rate_row(server, what, clients, answers, peer, results[peer, what, clients]) for peer in peers]
        if what in {SIGNED_SHOW, SIGN_IN}:
            rows.append(_rate_row(server, what, clients, answers, "show by token", results[server, SHOW, clients]))
        elif not peers:
            rows.append(_rate_row(server, what, clients, answers))
    return rows


def _rate_row(
    server: str,
    what: str,
    clients: int,
    answers: Sequence[Answered],
    peer: str = "",
    peer_answers: Sequence[Answered] = (),
) -> Row:
    rates, peer_rates = ([each.per_second for each in some] for some in (answers, peer_answers))
    spread = ratio_of_rounds(rates, peer_rates) if peer else None
    goals: tuple[Goal, ...] = ()
    if spread is not None and peer == MOTO and clients == GOAL_CLIENTS and what in PEER_GOALS:
        goals = (rounds_at_least(PEER_GOALS[what], spread),)
    return Row(
        f"{server}: {what}, {_count(clients)}",
        "/s",
        median(rates),
        peer,
        median(peer_rates) if peer else None,
        None if spread is None else spread.median,
        goals,
        len(rates),
        _name(server, what, clients, "per_second") + (f"_to_{_word(peer)}" if peer else ""),
        spread,
        rates,
        peer_rates,
    )


def latency_rows(results: Results) -> list[Row]:
    """Return how long requests take: the median of the rounds' own percentiles."""
    rows: list[Row] = []
    for (server, what, clients), answers in sorted(results.items(), key=lambda item: item[0]):
        for percent, values in (("p50", [each.p50_ms for each in answers]), ("p99", [each.p99_ms for each in answers])):
            value, goals = median(values), ()
            if percent == "p99" and what in {LIST, LIST_FAR} and clients == LIST_CLIENTS:
                goals = (below(LIST_MS, value, "ms"),)
            text = f"{server}: {what}, {_count(clients)}, {percent}"
            name = _name(server, what, clients, f"{percent}_ms")
            rows.append(Row(text, "ms", value, goals=goals, sample_count=len(values), name=name, ours=values))
    return rows


def notes(extent: ApiExtent) -> list[str]:
    """Return what a reader of these figures has to know."""
    rounds = ", ".join(
        f"{rounds} rounds from {_count(clients)}" if rounds > 1 else f"1 round from {_count(clients)}"
        for clients, rounds in extent.rounds_by_clients.items()
    )
    sentence = (
        f"API: {rounds} of {extent.seconds} s; lists are of a project with {extent.crowd:,} endpoints. "
        "One process each: Landbridge with 4 threads that read and 1 that writes, moto's server with a thread for each "
        "connection, and the same kept alive in gunicorn with 1 worker of 64 threads. No agent runs meanwhile."
    )
    return [sentence] if available() else [sentence, "moto is not installed, so the API was not compared."]


def _count(clients: int) -> str:
    return "1 client" if clients == 1 else f"{clients} clients"


def _name(server: str, what: str, clients: int, measure: str) -> str:
    return f"api.{_word(server)}.{_word(what)}.clients_{clients}.{measure}"


def _word(text: str) -> str:
    return text.replace(",", "").replace(" ", "_")
