"""What outside scripts may rely on: the server's life, its state, its lab."""

import json
import os
import signal
import socket
import stat
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.deployment import Deployment, as_root_and_user


def namespaces_of(region: str) -> list[str]:
    directory = Path("/run/netns")
    return [path.name for path in directory.glob("*") if f".{region}." in path.name] if directory.exists() else []


@as_root_and_user
def test_killing_the_server_stops_no_traffic_and_a_restart_adopts_it(deployment: Deployment):
    deployment.serve()
    deployment.start_backend()
    endpoint = deployment.accepted_endpoint()
    talk = deployment.talk("10.0.0.100", 8080)
    assert talk.seen_source.startswith("198.19.")
    assert talk.say("before") == "before"

    deployment.stop(signal.SIGKILL)

    assert talk.say("while the server is dead") == "while the server is dead"
    assert deployment.talk("10.0.0.100", 8080).say("new") == "new"
    deployment.serve()
    assert talk.say("after the restart") == "after the restart"
    assert deployment.tenant("globex").send("GET", f"vpc-endpoints/{endpoint['id']}")["status"] == "accepted"
    planned = deployment.run("plan", "--state", str(deployment.state), "--json")
    assert (planned.returncode, json.loads(planned.stdout)) == (0, []), planned.stderr


@as_root_and_user
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_ending_a_server_with_a_lab_takes_the_lab_down_and_frees_everything(deployment: Deployment, number):
    deployment.serve()
    deployment.start_backend()
    deployment.accepted_endpoint()

    assert deployment.stop(number, within_seconds=10) == 0

    assert namespaces_of(deployment.region) == []
    assert not (deployment.state / "holder.json").exists()
    gone = deployment.run("lab", "exec", "--state", str(deployment.state), "web-1", "--", "true")
    assert gone.returncode == 2
    with socket.create_server(("127.0.0.1", deployment.port)):
        pass


@as_root_and_user
def test_a_server_told_to_keep_its_lab_leaves_it_and_lab_down_takes_it_down(deployment: Deployment):
    deployment.serve("--keep")
    deployment.start_backend()
    deployment.accepted_endpoint()
    talk = deployment.talk("10.0.0.100", 8080)

    assert deployment.stop() == 0
    assert talk.say("still there") == "still there"

    down = deployment.run("lab", "down", "--state", str(deployment.state))
    assert (down.returncode, down.stderr) == (0, "")
    assert namespaces_of(deployment.region) == []
    assert deployment.run("lab", "exec", "--state", str(deployment.state), "web-1", "true").returncode == 2


@as_root_and_user
def test_after_a_lab_was_taken_down_the_same_state_wires_its_endpoints_again(deployment: Deployment):
    deployment.serve()
    deployment.accepted_endpoint()
    deployment.stop()

    deployment.serve()
    deployment.start_backend()

    assert deployment.talk("10.0.0.100", 8080).say("again") == "again"


@as_root_and_user
def test_the_started_process_is_the_server_and_killing_it_frees_port_and_state_at_once(deployment: Deployment):
    deployment.serve()
    assert deployment.process is not None
    listening = subprocess.run(
        ["ss", "--listening", "--tcp", "--numeric", "--processes", f"sport = :{deployment.port}"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    if os.geteuid() == 0:
        assert f"pid={deployment.process.pid}," in listening

    deployment.stop(signal.SIGKILL)

    with socket.create_server(("127.0.0.1", deployment.port)):
        pass
    deployment.serve()


@as_root_and_user
def test_the_state_directory_is_private_and_belongs_to_one_server_at_a_time(deployment: Deployment):
    deployment.serve()
    assert deployment.process is not None

    second = deployment.run(
        "serve", "--state", str(deployment.state), "--listen", "127.0.0.1:0", "--lab", str(deployment.lab)
    )

    assert stat.S_IMODE(deployment.state.stat().st_mode) == 0o700
    assert second.returncode == 1
    assert f"process id {deployment.process.pid}" in second.stderr
    assert str(deployment.state) in second.stderr
    assert "Traceback" not in second.stderr


@pytest.mark.parametrize("new_deployment", ["root"], indirect=True)
def test_names_held_by_another_instance_are_refused_with_the_way_out(new_deployment: Callable[..., Deployment]):
    first, second = new_deployment(), new_deployment()
    first.serve()
    assert first.process is not None
    serve = ("serve", "--state", str(second.state), "--listen", "127.0.0.1:0", "--lab", str(second.lab))

    while_alive = second.run(*serve)
    first.stop(signal.SIGKILL)
    after_death = second.run(*serve)

    assert while_alive.returncode == after_death.returncode == 1
    assert f"process id {first.process.pid}" in while_alive.stderr
    assert str(first.state) in while_alive.stderr
    assert f"landbridge lab down --state {first.state}" in after_death.stderr
    assert first.run("lab", "down", "--state", str(first.state)).returncode == 0
    second.serve()


@pytest.mark.parametrize("new_deployment", ["user"], indirect=True)
def test_ordinary_users_labs_of_one_region_do_not_meet(new_deployment: Callable[..., Deployment]):
    first, second = new_deployment(), new_deployment()

    first.serve()
    second.serve()

    for deployment in (first, second):
        deployment.start_backend()
        deployment.accepted_endpoint()
        assert deployment.talk("10.0.0.100", 8080).say("hello") == "hello"


@as_root_and_user
def test_the_lab_of_a_living_server_cannot_be_taken_down_behind_its_back(deployment: Deployment):
    deployment.serve()

    down = deployment.run("lab", "down", "--state", str(deployment.state))

    assert down.returncode == 1
    assert "end it first" in down.stderr
    assert deployment.run("lab", "exec", "--state", str(deployment.state), "web-1", "true").returncode == 0


def test_a_port_in_use_is_one_sentence_and_no_lab(deployment: Deployment):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        answer = deployment.run(
            "serve", "--state", str(deployment.state), "--listen", listen, "--lab", str(deployment.lab)
        )

    assert answer.returncode == 1
    assert f"cannot listen on {listen}" in answer.stderr
    assert "Traceback" not in answer.stderr
    assert namespaces_of(deployment.region) == []


def test_a_mistake_in_the_lab_file_names_file_line_and_what_to_write_instead(deployment: Deployment):
    deployment.lab.write_text(deployment.lab.read_text().replace("ip: 10.0.0.20", "ip: 10.0.1.20"))

    answer = deployment.run("serve", "--state", str(deployment.state), "--lab", str(deployment.lab))

    assert answer.returncode == 1
    assert f"{deployment.lab}:14: " in answer.stderr
    assert "10.0.0." in answer.stderr
    assert not deployment.state.exists()


@as_root_and_user
def test_commands_on_hosts_are_replaced_by_what_they_run(deployment: Deployment):
    deployment.serve()

    def run(host: str, *words: str, **options):
        return subprocess.run(
            deployment.on_host(host, *words),
            check=False,
            capture_output=True,
            text=True,
            timeout=20,
            env=deployment.environment(),
            **options,
        )

    echoed = run("web-1", "cat", input="through standard input")
    assert (echoed.returncode, echoed.stdout, echoed.stderr) == (0, "through standard input", "")
    assert run("web-1", "sh", "-c", "exit 41").returncode == 41
    assert run("web-1", "no-such-command").returncode == 127
    missing = run("no-such-host", "true")
    assert missing.returncode == 2
    assert "web-1" in missing.stderr
    addresses = {
        host: run(host, "ip", "-4", "-o", "addr", "show", "dev", "eth0").stdout for host in ("web-1", "client-1")
    }
    assert "10.0.0.20/24" in addresses["web-1"]
    assert "10.0.0.10/24" in addresses["client-1"]
    sleeper = deployment.start_on_host("web-1", "sleep", "60")
    time.sleep(0.5)
    assert Path(f"/proc/{sleeper.pid}/comm").read_text() == "sleep\n"
    sleeper.send_signal(signal.SIGTERM)
    assert sleeper.wait(5) == -signal.SIGTERM


@as_root_and_user
def test_what_a_host_command_started_goes_on_when_the_server_dies(deployment: Deployment):
    deployment.serve()
    cat = deployment.start_on_host("web-1", "cat")
    assert cat.stdin is not None
    assert cat.stdout is not None

    deployment.stop(signal.SIGKILL)

    cat.stdin.write("alive\n")
    cat.stdin.flush()
    assert cat.stdout.readline() == "alive\n"
    after = subprocess.run(
        deployment.on_host("client-1", "true"), check=False, env=deployment.environment(), timeout=20
    )
    assert after.returncode == 0


def test_lab_show_needs_no_server_and_prints_the_promised_json_only(deployment: Deployment):
    shown = deployment.run("lab", "show", "--lab", str(deployment.lab), "--json")

    ids = json.loads(shown.stdout)
    assert shown.stderr == ""
    assert set(ids) == {"region", "projects", "vpcs", "subnets", "routetables", "hosts", "vips", "public_services"}
    assert len(ids["projects"]["acme"]["project_id"]) == 32
    assert ids["hosts"]["web-1"]["ip"] == "10.0.0.20"
    assert set(ids["subnets"]) == {"acme-vpc/web", "globex-vpc/apps"}
    assert ids == deployment.ids()


@pytest.mark.parametrize("new_deployment", ["root"], indirect=True)
def test_the_namespaces_shown_are_those_of_the_running_lab(deployment: Deployment):
    deployment.serve()

    shown = {host["namespace"] for host in deployment.ids()["hosts"].values()}

    assert shown <= {path.name for path in Path("/run/netns").iterdir()}


@as_root_and_user
def test_without_a_lab_option_the_server_leaves_the_data_plane_when_it_ends(deployment: Deployment):
    deployment.serve("--keep")
    deployment.start_backend()
    deployment.accepted_endpoint()
    deployment.stop()
    talk = deployment.talk("10.0.0.100", 8080)
    deployment.serve_without_lab()
    assert deployment.tenant("globex").send("GET", "vpc-endpoints")["total_count"] == 1
    assert deployment.stop() == 0

    assert talk.say("still there") == "still there"


@pytest.mark.parametrize("new_deployment", ["user"], indirect=True)
def test_what_holds_an_ordinary_users_networks_holds_nothing_else(deployment: Deployment):
    deployment.serve()
    assert deployment.process is not None

    holder = json.loads((deployment.state / "holder.json").read_text())["pid"]

    assert list(Path(f"/proc/{holder}/fd").iterdir()) == []
    assert os.getsid(holder) != os.getsid(deployment.process.pid)
    assert os.getpgid(holder) != os.getpgid(deployment.process.pid)
    children = Path(f"/proc/{deployment.process.pid}/task/{deployment.process.pid}/children").read_text()
    assert children == ""


@as_root_and_user
def test_a_server_restarted_without_its_lab_file_keeps_its_region_and_cuts_what_it_carries(deployment: Deployment):
    deployment.serve()
    deployment.start_backend()
    endpoint = deployment.accepted_endpoint()
    talk = deployment.talk("10.0.0.100", 8080)
    deployment.stop(signal.SIGKILL)

    deployment.serve_without_lab()
    body = {"action": "reject", "endpoints": [endpoint["id"]]}
    path = f"vpc-endpoint-services/{endpoint['endpoint_service_id']}/connections/action"
    (connection,) = deployment.tenant("acme").send("POST", path, body)["connections"]

    assert (connection["status"], connection["error"]) == ("rejected", [])
    assert talk.say("cut") == ""


def test_a_lab_of_another_region_is_refused_on_a_state_that_has_one(deployment: Deployment):
    deployment.serve()
    deployment.stop()
    deployment.lab.write_text(deployment.lab.read_text().replace(deployment.region, "elsewhere"))

    answer = deployment.run("serve", "--state", str(deployment.state), "--lab", str(deployment.lab))

    assert answer.returncode == 1
    assert f"belongs to region {deployment.region}, not elsewhere" in answer.stderr


def test_of_two_servers_started_at_once_on_one_port_exactly_one_starts(new_deployment: Callable[..., Deployment]):
    first, second = new_deployment("e2e-one"), new_deployment("e2e-two")
    listen = f"127.0.0.1:{first.port}"
    started = [
        subprocess.Popen(
            each.command("serve", "--state", str(each.state), "--listen", listen, "--driver", "memory"),
            stderr=subprocess.PIPE,
            text=True,
            env=each.environment(),
        )
        for each in (first, second)
    ]

    deadline = time.monotonic() + 30
    while all(process.poll() is None for process in started):
        assert time.monotonic() < deadline
        time.sleep(0.02)

    (loser,) = [process for process in started if process.poll() is not None]
    (winner,) = [process for process in started if process is not loser]
    assert loser.stderr is not None
    assert f"cannot listen on {listen}" in loser.stderr.read()
    first.process = winner
    assert first.get_version()["id"] == "v1"
    assert first.stop() == 0
    for process in started:
        assert process.stderr is not None
        process.stderr.close()
