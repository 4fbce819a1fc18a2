"""What the benchmarks of the API say about the answers that they counted, and what they send."""

from datetime import UTC, datetime, timedelta

from landbridge.control.accounts import SignedRequest
from landbridge.identity.sealing import Secret
from landbridge.identity.signature import read_signature
from tests.benchmarks.api_load import Answered, Request
from tests.benchmarks.api_speed import latency_rows, rate_rows
from tests.benchmarks.api_worlds import CONNECT, CREATE, LIST, SHOW, SIGN_IN, SQLITE, signature
from tests.benchmarks.figures import table
from tests.benchmarks.moto_peers import MOTO, MOTO_ALIVE


def answered(*per_second: float, p99_ms: float = 5.0) -> list[Answered]:
    """One round for each."""
    return [Answered(round(each), each, 1.0, p99_ms) for each in per_second]


def test_the_goal_is_judged_beside_the_server_as_it_is_shipped_and_at_eight_clients():
    results = {
        (SQLITE, CREATE, 8): answered(450, 500, 480),
        (SQLITE, CREATE, 64): answered(90, 100, 95),
        (MOTO, CREATE, 8): answered(100, 100, 100),
        (MOTO, CREATE, 64): answered(100, 100, 100),
        (MOTO_ALIVE, CREATE, 8): answered(150, 150, 150),
    }

    rows = {row.name: row for row in rate_rows(results)}

    judged = rows["api.sqlite.create_service.clients_8.per_second_to_moto"]
    assert (judged.ratio, [goal.is_met for goal in judged.goals]) == (4.8, [True])
    assert rows["api.sqlite.create_service.clients_8.per_second_to_moto_kept_alive"].goals == ()
    assert rows["api.sqlite.create_service.clients_64.per_second_to_moto"].goals == ()


def test_a_missed_goal_is_said():
    results = {(SQLITE, SHOW, 8): answered(300, 310, 305), (MOTO, SHOW, 8): answered(100, 100, 100)}

    assert "NOT MET: ratio ≥ 5" in table(rate_rows(results))


def test_without_a_peer_there_is_a_figure_and_no_ratio():
    (row,) = rate_rows({(SQLITE, CONNECT, 8): answered(200, 220, 210)})

    assert (row.value, row.peer, row.ratio, row.goals) == (210, "", None, ())


def test_what_it_costs_to_prove_who_one_is_compares_with_a_token():
    (compared,) = (
        row for row in rate_rows({(SQLITE, SHOW, 8): answered(600), (SQLITE, SIGN_IN, 8): answered(30)}) if row.peer
    )

    assert (compared.peer, compared.ratio) == ("show by token", 0.05)


def test_a_list_is_judged_by_what_it_takes_alone():
    results = {
        (SQLITE, LIST, 1): answered(50, 50, 50, p99_ms=19.0),
        (SQLITE, LIST, 8): answered(50, 50, 50, p99_ms=150.0),
    }

    verdicts = {row.what: [goal.is_met for goal in row.goals] for row in latency_rows(results)}

    assert verdicts["sqlite: list 100, 1 client, p99"] == [True]
    assert verdicts["sqlite: list 100, 8 clients, p99"] == []


def test_an_order_has_method_path_headers_and_body():
    request = Request("POST", "/v1/p", {"X-Auth-Token": "t"}, '{"n": {number}}')

    assert request.as_order() == 'POST\n/v1/p\nX-Auth-Token: t\n\n{"n": {number}}'


def test_the_signature_that_is_sent_is_one_that_the_server_takes():
    now = datetime(2026, 3, 1, 12, tzinfo=UTC)
    headers = {name.lower(): value for name, value in signature("/v1/p/vpc-endpoint-services/s", now).items()}

    claimed = read_signature(
        SignedRequest("GET", "/v1/p/vpc-endpoint-services/s", "", headers, b""), now, timedelta(minutes=15)
    )

    assert claimed.is_by(Secret("bench-secret"))
