"""Two agents of one pool on PostgreSQL: whatever happens to the leader, the other one goes on, and only one leads."""

import signal
import subprocess
import time
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from tests.e2e.deployment import Deployment
from tests.postgresql import PostgresqlServer

TAKEOVER_SECONDS = 3.0
NOISE_SECONDS = 6.0
"""What a busy machine may add: two agents, an API and a database share its cores with other tests."""


@pytest.fixture
def pair(
    new_deployment: Callable[..., Deployment],
    postgresql: PostgresqlServer,
    new_postgresql_database: Callable[[], str],
) -> tuple[Deployment, str]:
    """Two agents, the first of which leads, and an API process; the address of their database."""
    deployment = new_deployment()
    url = postgresql.url(new_postgresql_database())
    config = deployment.home / "landbridge.toml"
    config.write_text(f'database = "{url}"\nregion = "{deployment.region}"\n')
    options = ("--config", str(config), "--lab", str(deployment.lab), "--keep")
    deployment.start_agent(*options)
    deployment.wait_for_log("server.ready")
    # The first may have said so too, while it waited for the database.
    said = deployment.log.read_text().count("agent.standby")
    deployment.start_agent(*options)
    deployment.wait_for_log("agent.standby", said + 1)
    deployment.serve_api("--config", str(config))
    deployment.start_backend()
    return deployment, url


def terminate_leader(url: str) -> None:
    """End the session that holds the lock of a leader."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND database = "
            "(SELECT oid FROM pg_database WHERE datname = current_database())"
        )


def another_endpoint(deployment: Deployment, like: Any) -> float:
    """Create an endpoint, wait until it carries a byte, and return how long that took."""
    globex = deployment.tenant("globex")
    started = time.monotonic()
    body = {
        "endpoint_service_id": like["endpoint_service_id"],
        "vpc_id": like["vpc_id"],
        "subnet_id": deployment.ids()["subnets"]["globex-vpc/apps"]["subnet_id"],
    }
    made = globex.send("POST", "vpc-endpoints", body)
    accepted = globex.until(f"vpc-endpoints/{made['id']}", "accepted")
    seconds = time.monotonic() - started
    assert deployment.talk(accepted["ip"], 8080).say("new") == "new"
    return seconds


root_only = pytest.mark.parametrize("new_deployment", ["root"], indirect=True)


@root_only
def test_a_standby_takes_over_from_a_killed_leader_and_no_connection_notices(pair: tuple[Deployment, str]):
    deployment, _url = pair
    endpoint = deployment.accepted_endpoint()
    connection = deployment.talk("10.0.0.100", 8080)
    assert connection.say("before") == "before"

    deployment.agents[0].kill()

    assert another_endpoint(deployment, endpoint) < TAKEOVER_SECONDS + NOISE_SECONDS
    assert connection.say("after") == "after"
    assert deployment.log.read_text().count("leadership.taken") == 2


@root_only
def test_a_stopped_leader_that_goes_on_later_changes_nothing_and_ends(pair: tuple[Deployment, str]):
    deployment, url = pair
    endpoint = deployment.accepted_endpoint()
    connection = deployment.talk("10.0.0.100", 8080)
    assert connection.say("before") == "before"
    leader = deployment.agents[0]

    leader.send_signal(signal.SIGSTOP)
    terminate_leader(url)
    another_endpoint(deployment, endpoint)
    leader.send_signal(signal.SIGCONT)

    assert leader.wait(20) == 1
    assert "leads pool default no more" in deployment.log.read_text()
    another_endpoint(deployment, endpoint)
    assert connection.say("after") == "after"


@root_only
def test_a_leader_without_its_session_leaves_the_data_plane_to_the_other(pair: tuple[Deployment, str]):
    deployment, url = pair
    endpoint = deployment.accepted_endpoint()
    connection = deployment.talk("10.0.0.100", 8080)
    assert connection.say("before") == "before"

    terminate_leader(url)

    assert deployment.agents[0].wait(20) == 1
    another_endpoint(deployment, endpoint)
    assert connection.say("after") == "after"


@root_only
def test_an_agent_that_waits_ends_when_it_is_told_to(pair: tuple[Deployment, str]):
    deployment, _url = pair
    standby: subprocess.Popen[bytes] = deployment.agents[1]

    standby.send_signal(signal.SIGTERM)

    assert standby.wait(20) == 0
    assert deployment.log.read_text().count("leadership.taken") == 1
