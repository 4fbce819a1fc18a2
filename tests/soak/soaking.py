"""Load, kill, and look; again and again."""

import random
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from huaweicloudsdkcore.exceptions.exceptions import SdkException
from huaweicloudsdkvpcep import v1

from tests.soak.ground import CLIENT, STEADY_PORT, WORKERS, Database, Ground, ground
from tests.soak.ledger import Answer
from tests.soak.load import ACCEPTED, CLIENT_PORT, LET_OUT, Books, Worker

LONGEST_ROUND_SECONDS = 60.0
SHORTEST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 5.0
LEAST_KILLS = 4
STEADY_CONNECTIONS = 3
_SETTLED_SECONDS, _REACHED_SECONDS, _VERIFY_SECONDS = 90.0, 20.0, 120.0
_NOBODY = "-"

Say = Callable[[str], None]


@dataclass
class Summary:
    """What happened."""

    database: Database
    seed: int
    answers: Counter[Answer] = field(default_factory=Counter[Answer])
    kills: Counter[str] = field(default_factory=Counter[str])
    restarts: int = 0
    looks: int = 0
    compared: int = 0
    """Services and endpoints that were asked for, at the last look; most of them are gone again."""
    reached: int = 0
    """Endpoints at the last look through which the right backend answered."""
    echoes: int = 0
    longest_wait_seconds: float = 0.0
    wrong: list[str] = field(default_factory=list[str])
    """What was lost, wrong or broken; empty if all is well."""

    def __str__(self) -> str:
        answers = ", ".join(f"{self.answers[answer]} {answer.value}" for answer in Answer)
        kills = ", ".join(f"{victim} {count}" for victim, count in sorted(self.kills.items())) or "none"
        return (
            f"{self.database}, seed {self.seed}: {sum(self.answers.values())} requests ({answers}), the longest wait "
            f"{self.longest_wait_seconds:.1f} s; kills: {kills}; {self.restarts} restarts; {self.echoes} echoes on "
            f"{STEADY_CONNECTIONS} connections; looked {self.looks} times, at last at {self.compared} services and "
            f"endpoints, {self.reached} of them reached; wrong: {len(self.wrong)}"
        )


def soak(database: Database, seconds: float, seed: int, say: Say = print) -> Summary:
    """Do it for so long, not counting the looks; return what happened."""
    summary, chance = Summary(database, seed), random.Random(seed)
    with ground(database) as made:
        books = Books()
        say(f"{database}, seed {seed}: {', '.join(made.victims)} and a lab run")
        address = steady_endpoint(made)
        workers = [Worker(number, made.site, books, chance.randrange(1 << 30)) for number in range(WORKERS)]
        with watched(made, address, summary):
            left = seconds
            while left > 0 and not summary.wrong:
                length = min(left, LONGEST_ROUND_SECONDS)
                left -= length
                with working(workers, summary):
                    kill_at_random(made, length, chance, summary, say)
                look(made, books, summary)
                summary.answers, summary.longest_wait_seconds = books.answers, books.longest_wait_seconds
                summary.restarts = made.restarts
        if summary.wrong:
            say(made.deployment.log.read_text()[-20_000:])
    return summary


def steady_endpoint(made: Ground) -> str:
    """Make an endpoint that nobody touches; return its address."""
    host = next(iter(made.site.hosts))
    endpoint = made.deployment.accepted_endpoint(
        client_port=CLIENT_PORT,
        server_port=STEADY_PORT,
        port_id=made.site.ids["hosts"][host]["port_id"],
        description="steady",
    )
    return endpoint["ip"]


@contextmanager
def watched(made: Ground, address: str, summary: Summary) -> Iterator[None]:
    """Keep connections open meanwhile; each one that breaks is wrong."""
    process = made.start_on_host(CLIENT, "watch", address, str(CLIENT_PORT), str(STEADY_CONNECTIONS))
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield
    finally:
        process.stdin.close()
        for line in process.stdout:
            if line.startswith("echoes "):
                summary.echoes = int(line.split()[1])
            else:
                summary.wrong.append(line.strip())
    if not summary.echoes:
        summary.wrong.append("the steady connections never said anything")


@contextmanager
def working(workers: list[Worker], summary: Summary) -> Iterator[None]:
    """Have the workers work meanwhile."""
    ended = threading.Event()

    def work(worker: Worker) -> None:
        try:
            worker.run(ended)
        except Exception as error:  # a worker that ends early would make everything look well
            summary.wrong.append(f"a worker ended: {error!r}")

    threads = [threading.Thread(target=work, args=(worker,)) for worker in workers]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def kill_at_random(made: Ground, seconds: float, chance: random.Random, summary: Summary, say: Say) -> None:
    """Kill one thing after the other for so long."""
    until, longest = time.monotonic() + seconds, min(LONGEST_PAUSE_SECONDS, seconds / LEAST_KILLS)
    while (left := until - time.monotonic()) > 0:
        time.sleep(min(left, chance.uniform(SHORTEST_PAUSE_SECONDS, longest)))
        victim = chance.choice(made.victims)
        if made.kill(victim):
            summary.kills[victim] += 1
            say(f"killed: {victim}")


def look(made: Ground, books: Books, summary: Summary) -> None:
    """Wait until everything is carried out, and compare it with what was acknowledged."""
    summary.looks += 1
    summary.compared = len(books.services.states) + len(books.endpoints.states)
    made.wait_until_up()
    services, endpoints = _settled(made)
    summary.wrong += books.services.compare({name: one.status for name, one in services.items() if name != "steady"})
    summary.wrong += books.endpoints.compare({name: one.status for name, one in endpoints.items()})
    books.ids.update({name: one.id for name, one in (*services.items(), *endpoints.items())})
    # One that was never accepted shows no address.
    expected = {name: _expected(books, name, one.status) for name, one in endpoints.items() if one.ip is not None}
    summary.reached = sum(_NOBODY not in greetings for greetings in expected.values())
    summary.wrong += _unreached(made, endpoints, expected)
    done = made.deployment.run(
        *("verify", "--state", str(made.deployment.state), "--config", str(made.deployment.home / "settings.toml")),
        *("--probe", "all"),
        timeout=_VERIFY_SECONDS,
    )
    if done.returncode:
        summary.wrong.append(f"verify ended with {done.returncode}: {done.stdout}{done.stderr}")


def _settled(made: Ground) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Return all services and endpoints by their descriptions, once none of them is in motion."""
    acme, globex = made.site.client("acme"), made.site.client("globex")
    deadline = time.monotonic() + _SETTLED_SECONDS
    while True:
        try:
            listed: Any = [
                acme.list_endpoint_service(v1.ListEndpointServiceRequest(limit=500)).endpoint_services,
                globex.list_endpoints(v1.ListEndpointsRequest(limit=500)).endpoints,
            ]
        except SdkException as error:  # what was killed a moment ago may not answer yet
            found: Any = error
        else:
            services, endpoints = found = [{one.description or "steady": one for one in each} for each in listed]
            if all(one.status not in {"creating", "deleting"} for one in (*services.values(), *endpoints.values())):
                endpoints.pop("steady", None)
                return services, endpoints
        assert time.monotonic() < deadline, f"something stays in motion: {found}"
        time.sleep(0.2)


def _unreached(made: Ground, endpoints: Mapping[str, Any], expected: Mapping[str, set[str]]) -> list[str]:
    """Return a sentence for each endpoint that leads where it should not."""
    asking = made.start_on_host(CLIENT, "ask", str(CLIENT_PORT))
    try:
        deadline = time.monotonic() + _REACHED_SECONDS
        left = dict.fromkeys(expected, "")
        while True:
            said = _greetings(asking, [endpoints[name].ip for name in left])
            left = {name: one for name, one in zip(left, said, strict=True) if one not in expected[name]}
            # A proxy that was killed a moment ago is started and fed again.
            if not left or time.monotonic() > deadline:
                break
            time.sleep(0.5)
    finally:
        asking.kill()
        asking.wait(10)
    return [f"{name} leads to {one}, and must to {expected[name]}" for name, one in left.items()]


def _expected(books: Books, name: str, status: str) -> set[str]:
    """Return what a client may hear through an endpoint."""
    greeting = books.greetings[books.service_of[name]] if name in books.service_of else ""
    whitelist = books.whitelists.states.get(name, frozenset())
    if status != ACCEPTED or whitelist == {LET_OUT}:
        return {_NOBODY}
    return {greeting} if LET_OUT not in whitelist else {greeting, _NOBODY}


def _greetings(asking: "subprocess.Popen[str]", addresses: Sequence[str]) -> Sequence[str]:
    """Return what is heard at each address; nobody answers at an address that is not there, which takes its time."""
    assert asking.stdin is not None
    assert asking.stdout is not None
    asking.stdin.write(f"{' '.join(addresses)}\n")
    asking.stdin.flush()
    return asking.stdout.readline().split()
