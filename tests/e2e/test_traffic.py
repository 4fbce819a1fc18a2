"""Traffic of a real server: what the commands show, who it was afterwards, and what the flow log keeps."""

import json
import stat
import time
from pathlib import Path
from typing import Any

from tests.e2e import backends
from tests.e2e.deployment import Deployment, as_user
from tests.e2e.test_modes import start, told


def run_as(deployment: Deployment, project: str, *words: str) -> Any:
    """Run a client command with `--json` as a tenant's admin."""
    environment = deployment.environment() | {
        "OS_AUTH_URL": f"{deployment.url}/v3",
        "OS_USERNAME": f"{project}-admin",
        "OS_PASSWORD": f"{project}-password",
        "OS_USER_DOMAIN_NAME": project,
        "OS_PROJECT_DOMAIN_NAME": project,
        "OS_PROJECT_NAME": project,
        "OS_REGION_NAME": deployment.region,
    }
    done = deployment.run(*words, "--json", env=environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def flow_lines(deployment: Deployment) -> list[dict[str, Any]]:
    files = sorted((deployment.state / "flow-log").glob("*.jsonl"))
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in files)
    return [json.loads(line) for path in files for line in path.read_text().splitlines()]


def line_of(deployment: Deployment, endpoint: Any) -> dict[str, Any]:
    """Wait for the line of an endpoint's only connection."""
    globex, path = deployment.tenant("globex"), f"ext/vpc-endpoints/{endpoint['id']}/connections"
    deadline = time.monotonic() + 90
    while not (found := [line for line in flow_lines(deployment) if line["endpoint_id"] == endpoint["id"]]):
        assert time.monotonic() < deadline, "the connection has no line"
        # Whoever looks makes the kernel clear its table, which else takes up to a minute.
        assert globex.send("GET", path)["connections"] == []
        time.sleep(0.2)
    (line,) = found
    return line


@as_user
def test_each_side_sees_a_connection_while_it_is_open_and_who_it_was_afterwards(deployment: Deployment):
    deployment.serve()
    deployment.start_backend(81)
    start(deployment, backends.PROXY_PROTOCOL)
    plain = deployment.accepted_endpoint("10.0.0.101", server_port=81)
    proxied = deployment.accepted_endpoint(tcp_proxy="proxy_open")
    talks = {plain["id"]: deployment.talk("10.0.0.101", 8080), proxied["id"]: deployment.talk("10.0.0.100", 8080)}
    clients: dict[str, str] = {}
    sources: dict[str, str] = {}

    for endpoint in (plain, proxied):
        assert talks[endpoint["id"]].say("hello") == "hello"
        traffic = run_as(deployment, "globex", "endpoint", "traffic", endpoint["id"])
        assert (traffic["connections_opened"], traffic["connections_open"]) == (1, 1)
        assert traffic["bytes_sent"] > 100 < traffic["bytes_received"]
        (own,) = run_as(deployment, "globex", "endpoint", "connections", endpoint["id"])
        (seen,) = run_as(deployment, "acme", "service", "connections", endpoint["endpoint_service_id"])
        assert own["client"].startswith("10.0.0.10:")
        assert own["endpoint"] == f"{endpoint['ip']}:8080"
        assert own["source"] == seen["source"]
        assert seen.get("client") == (own["client"] if endpoint is proxied else None)
        clients[endpoint["id"]], sources[endpoint["id"]] = own["client"], own["source"]
    assert told_source(talks[proxied["id"]]) == sources[proxied["id"]]

    for process in deployment.started[-2:]:
        process.kill()

    for endpoint in (plain, proxied):
        line = line_of(deployment, endpoint)
        source = sources[endpoint["id"]]
        assert (line["client"], line["source"]) == (clients[endpoint["id"]], source)
        assert line["service_id"] == endpoint["endpoint_service_id"]
        assert line["bytes_sent"] > 100 < line["bytes_received"]
        asked = ("service", "who", endpoint["endpoint_service_id"], source, "--at", line["opened_at"])
        (somebody,) = run_as(deployment, "acme", *asked)["found"]
        assert (somebody["known_by"], somebody["endpoint_id"]) == ("flow-log", endpoint["id"])
        assert somebody.get("client") == (clients[endpoint["id"]] if endpoint is proxied else None)


def told_source(talk: Any) -> str:
    address, port = told(talk)["source"]
    return f"{address}:{port}"


@as_user
def test_without_a_flow_log_nothing_is_kept(deployment: Deployment):
    settings = Path(deployment.home, "settings.toml")
    settings.write_text("flow_log = false\n")
    settings.chmod(0o644)
    deployment.serve("--config", str(settings))
    deployment.start_backend()
    endpoint = deployment.accepted_endpoint()

    assert deployment.talk("10.0.0.100", 8080).seen_source

    assert run_as(deployment, "globex", "endpoint", "traffic", endpoint["id"])["connections_opened"] == 1
    assert not (deployment.state / "flow-log").exists()
