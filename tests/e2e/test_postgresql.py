"""The whole service on a PostgreSQL server, which may go away like everything else."""

import json
import os
import signal
import time
import urllib.error
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.deployment import Deployment, HttpTenant
from tests.ordinary_user import NOBODY
from tests.postgresql import LOCKED_PASSWORD, LOCKED_USER, PostgresqlServer, running_postgresql

AWAY_SECONDS = 30


@pytest.fixture
def own_server() -> Iterator[PostgresqlServer]:
    with running_postgresql() as server:
        yield server


@pytest.fixture
def on_postgresql(deployment: Deployment, own_server: PostgresqlServer) -> Deployment:
    """A deployment whose settings name a database, into which only a password leads."""
    own_server.administer(f"CREATE DATABASE landbridge OWNER {LOCKED_USER}")
    password, config = deployment.home / "password", deployment.home / "settings.toml"
    password.write_text(f"{LOCKED_PASSWORD}\n")
    password.chmod(0o600)
    url = own_server.url("landbridge", LOCKED_USER)
    config.write_text(f'database = "{url}"\ndatabase_password_file = "{password}"\n')
    if deployment.prefix:
        for path in (password, config):
            os.chown(path, NOBODY, NOBODY)
    return deployment


def config_of(deployment: Deployment) -> tuple[str, str]:
    return "--config", str(deployment.home / "settings.toml")


def test_a_server_on_postgresql_carries_and_adopts_after_a_kill(on_postgresql: Deployment):
    config = config_of(on_postgresql)
    on_postgresql.serve(*config)
    on_postgresql.start_backend()
    endpoint = on_postgresql.accepted_endpoint()
    talk = on_postgresql.talk(endpoint["ip"], 8080)
    assert talk.say("carried") == "carried"

    on_postgresql.stop(signal.SIGKILL)
    assert talk.say("without a server") == "without a server"
    on_postgresql.serve(*config)

    assert talk.say("adopted") == "adopted"
    found = on_postgresql.tenant("globex").send("GET", f"vpc-endpoints/{endpoint['id']}")
    assert found["status"] == "accepted"
    assert not (on_postgresql.state / "landbridge.sqlite3").exists()
    state = ("--state", str(on_postgresql.state), *config)
    listed = on_postgresql.run("project", "list", *state, "--json")
    assert {project["name"] for project in json.loads(listed.stdout)["projects"]} == {"acme", "globex"}
    planned = on_postgresql.run("plan", *state)
    assert planned.stdout.startswith("nothing to do"), planned.stderr
    assert LOCKED_PASSWORD not in on_postgresql.log.read_text()


def test_without_its_database_the_api_says_so_at_once_and_afterwards_everything_goes_on(
    on_postgresql: Deployment, own_server: PostgresqlServer
):
    config = config_of(on_postgresql)
    options = ("--lab", str(on_postgresql.lab), "--keep", *config)
    agent = on_postgresql.start_agent(*options)
    on_postgresql.wait_for_log("server.ready")
    on_postgresql.serve_api(*config)
    on_postgresql.start_backend()
    endpoint = on_postgresql.accepted_endpoint()
    talk = on_postgresql.talk(endpoint["ip"], 8080)
    globex, path = on_postgresql.tenant("globex"), f"vpc-endpoints/{endpoint['id']}"

    own_server.stop(signal.SIGKILL)
    back_at = time.monotonic() + AWAY_SECONDS
    refusal = refused(globex, path)
    # Another one may lead by now, so it does not go on; a supervisor starts it again until the database is back.
    assert agent.wait(20) == 1
    assert on_postgresql.start_agent(*options).wait(20) == 1
    while time.monotonic() < back_at:
        assert talk.say("without a database") == "without a database"
        time.sleep(1)
    own_server.start()
    found = answered_again(globex, path)
    said = on_postgresql.log.read_text().count("server.ready")
    on_postgresql.start_agent(*options)
    on_postgresql.wait_for_log("server.ready", said + 1)
    more = {key: endpoint[key] for key in ("endpoint_service_id", "vpc_id", "subnet_id")}
    added = globex.until(f"vpc-endpoints/{globex.send('POST', 'vpc-endpoints', more)['id']}", "accepted")

    assert refusal["error_code"] == refusal["error"]["code"] == "EndPoint.0001"
    assert "the database cannot be used at the moment" in refusal["error_msg"]
    assert found["status"] == "accepted"
    assert talk.say("and back") == "and back"
    assert on_postgresql.talk(added["ip"], 8080).say("anew") == "anew"


def refused(tenant: HttpTenant, path: str) -> Any:
    with pytest.raises(urllib.error.HTTPError) as failed:
        tenant.send("GET", path)
    with failed.value as answer:
        assert answer.code == 503
        return json.load(answer)


def answered_again(tenant: HttpTenant, path: str) -> Any:
    deadline = time.monotonic() + 30
    while True:
        try:
            return tenant.send("GET", path)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code != 503 or time.monotonic() > deadline:
                raise
            time.sleep(0.1)
