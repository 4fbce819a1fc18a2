"""A backup is made beside a live server, and restored where nothing else uses the database."""

import signal
import stat
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.e2e.deployment import Deployment, HttpTenant
from tests.e2e.held_removals import confirm, more_endpoints, readiness
from tests.postgresql import PostgresqlServer, programs

PORTS = [{"client_port": 8080, "server_port": 80}]


@contextmanager
def writing(tenant: HttpTenant, body: Any) -> Iterator[list[str]]:
    """Let four clients create endpoints as fast as they can; give the ids that were acknowledged so far."""
    acknowledged: list[str] = []
    is_over = threading.Event()

    def write() -> None:
        while not is_over.is_set():
            acknowledged.append(tenant.send("POST", "vpc-endpoints", body)["id"])

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        yield acknowledged
    finally:
        is_over.set()
        for thread in threads:
            thread.join(30)


def until_more_than(count: int, acknowledged: list[str]) -> None:
    deadline = time.monotonic() + 30
    while len(acknowledged) <= count:
        assert time.monotonic() < deadline, acknowledged
        time.sleep(0.01)


def test_a_backup_under_load_has_every_request_that_was_acknowledged_before_it_began(
    new_deployment: Callable[..., Deployment],
):
    source, target = new_deployment(), new_deployment()
    (source.home / "settings.toml").write_text("quota_endpoints = 100000\n")
    source.serve("--config", str(source.home / "settings.toml"))
    source.start_backend()
    first = source.accepted_endpoint()
    body = {
        "endpoint_service_id": first["endpoint_service_id"],
        "vpc_id": first["vpc_id"],
        "subnet_id": source.ids()["subnets"]["globex-vpc/apps"]["subnet_id"],
    }
    backup = source.home / "backup"

    with writing(source.tenant("globex"), body) as acknowledged:
        until_more_than(5, acknowledged)
        before = list(acknowledged)
        made = source.run("backup", str(backup), "--state", str(source.state))
        until_more_than(len(before) + 2, acknowledged)

    assert made.returncode == 0, made.stderr
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    assert list(source.home.glob(".backup*")) == []
    restored = target.run("restore", str(backup), "--state", str(target.state))
    assert restored.returncode == 0, restored.stderr
    target.serve()
    target.start_backend()
    globex = target.tenant("globex")
    there = {one["id"] for one in globex.send("GET", "vpc-endpoints?limit=1000")["endpoints"]}
    assert {first["id"], *before} <= there
    globex.until(f"vpc-endpoints/{first['id']}", "accepted")
    assert target.talk("10.0.0.100", 8080).say("elsewhere") == "elsewhere"


def refusal(deployment: Deployment, *words: str) -> str:
    """Return why a command is refused."""
    said = deployment.run(*words, "--state", str(deployment.state))
    assert (said.returncode, said.stdout) == (1, ""), said
    assert said.stderr.startswith("error: ")
    return said.stderr


def test_nothing_is_restored_under_a_process_that_uses_the_database(deployment: Deployment):
    deployment.start_agent("--lab", str(deployment.lab))
    deployment.wait_for_log("server.ready")
    deployment.serve_api()
    (agent,) = deployment.agents
    backup = str(deployment.home / "backup")
    assert deployment.run("backup", backup, "--state", str(deployment.state)).returncode == 0

    beside_both = refusal(deployment, "restore", backup)
    agent.kill()
    agent.wait(10)
    beside_the_api = refusal(deployment, "restore", backup)

    assert f"process id {agent.pid}" in beside_both
    assert "landbridge api" in beside_the_api
    port_id, vpc_id = deployment.ids()["hosts"]["web-1"]["port_id"], deployment.ids()["vpcs"]["acme-vpc"]["vpc_id"]
    service = {"port_id": port_id, "vpc_id": vpc_id, "server_type": "VM", "ports": PORTS}
    assert deployment.tenant("acme").send("POST", "vpc-endpoint-services", service)["status"] == "creating"
    deployment.stop()
    assert deployment.run("restore", backup, "--state", str(deployment.state)).returncode == 0


def test_a_user_and_the_user_s_key_are_good_in_another_state_directory(new_deployment: Callable[..., Deployment]):
    source, target = new_deployment(), new_deployment()
    state = ("--state", str(source.state))
    for words in (("project", "create", "initech"), ("user", "create", "peter", "--project", "initech")):
        assert source.run(*words, *state).returncode == 0
    assert source.run("key", "create", "peter", *state).returncode == 0
    backup = str(source.home / "backup")
    assert source.run("backup", backup, *state).returncode == 0

    assert target.run("restore", backup, "--state", str(target.state)).returncode == 0

    assert (target.state / "secret-sealing.key").read_text() == (source.state / "secret-sealing.key").read_text()
    assert not (target.state / "token-signing.key").exists()
    assert "peter" in target.run("key", "list", "--state", str(target.state)).stdout


def test_what_postgresql_s_own_tools_have_restored_is_braked_too(
    deployment: Deployment, postgresql: PostgresqlServer, new_postgresql_database: Callable[[], str]
):
    url, settings, dump = (
        postgresql.url(new_postgresql_database()),
        deployment.home / "settings.toml",
        "landbridge.dump",
    )
    settings.write_text(f'database = "{url}"\n')
    config = ("--config", str(settings))
    deployment.serve(*config)
    deployment.start_backend()
    old = deployment.accepted_endpoint()
    said = deployment.run("backup", str(deployment.home / dump), *config, "--state", str(deployment.state))
    postgresql_tool("pg_dump", "--format=custom", f"--file={dump}", url, within=postgresql.directory)
    newer = more_endpoints(deployment, old)
    connections = [deployment.talk("10.0.0.100", 8080), deployment.talk(newer[0]["ip"], 8080)]
    deployment.stop(signal.SIGKILL)

    options = ("--clean", "--if-exists", "--single-transaction", f"--dbname={url}")
    postgresql_tool("pg_restore", *options, dump, within=postgresql.directory)
    deployment.serve(*config)

    assert (said.returncode, "run pg_dump --format=custom" in said.stderr) == (1, True)
    assert readiness(deployment) == (503, ["sweep-held"])
    assert [connection.say("on") for connection in connections] == ["on", "on"]
    assert confirm(deployment, *config) == (0, f"{len(newer)} removals carried out\n")
    assert [connection.say("on") for connection in connections] == ["on", ""]


def postgresql_tool(name: str, *words: str, within: Path) -> None:
    """Run one of PostgreSQL's programs to its end, in a directory of the server's."""
    done = subprocess.run(
        [programs() / name, *words], cwd=within, check=False, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
