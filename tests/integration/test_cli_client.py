"""The client commands against a cloud on loopback that answers in the contract's shapes."""

import json
import os
import pty
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from landbridge.cli import resources
from tests.integration.cloud_on_loopback import PASSWORD, PROJECT_ID, REQUEST_ID, Cloud, cloud_on_loopback, refusal

SERVICE_ID = "5b6e0000-0000-4000-8000-000000000001"
OTHER_SERVICE_ID = "5b6e0000-0000-4000-8000-000000000002"
ENDPOINT_ID = "e0100000-0000-4000-8000-000000000001"
SERVICES = "/vpc-endpoint-services"
SERVICE = f"{SERVICES}/{SERVICE_ID}"
ENDPOINTS = "/vpc-endpoints"
ENDPOINT = f"{ENDPOINTS}/{ENDPOINT_ID}"

NEW_SERVICE = ["service", "create", "--port-id", "p1", "--vpc-id", "v1", "--server-type", "vm", "--port", "80:8080"]
NEW_ENDPOINT = ["endpoint", "create", "--service", SERVICE_ID, "--vpc-id", "v2", "--subnet-id", "s2"]

# openstacksdk announces to its own developers what it will drop; Python hides that from everybody else.
pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning:openstack.*", "ignore::PendingDeprecationWarning:openstack.*"
)

Run = Callable[..., Result]


def service(status: str, service_id: str = SERVICE_ID, short: str = "billing", **more: Any) -> dict[str, Any]:
    ports = [{"client_port": 80, "server_port": 8080, "protocol": "TCP"}]
    name = f"lab-1.{short}.{service_id}"
    return {"id": service_id, "service_name": name, "status": status, "server_type": "VM", "ports": ports} | more


def endpoint(status: str, **more: Any) -> dict[str, Any]:
    return {
        "id": ENDPOINT_ID,
        "status": status,
        "endpoint_service_id": SERVICE_ID,
        "endpoint_service_name": f"lab-1.billing.{SERVICE_ID}",
    } | more


def connections(*statuses: str, **more: Any) -> dict[str, Any]:
    found = [
        {"id": ENDPOINT_ID, "status": status, "marker_id": 16777322, "domain_id": "d2"} | more for status in statuses
    ]
    return {"connections": found, "total_count": len(found)}


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    with cloud_on_loopback() as running:
        yield running


@pytest.fixture
def run(cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command as a tenant of the cloud; further settings by keyword, None takes one away."""
    monkeypatch.chdir(tmp_path)
    group = click.Group(
        commands={
            "service": resources.service,
            "endpoint": resources.endpoint,
            "connection": resources.connection,
        }
    )
    nobody = {name: None for name in os.environ if name.startswith("OS_")}

    def run_command(*words: str, **settings: str | None) -> Result:
        result = CliRunner().invoke(group, list(words), env={**nobody, **cloud.settings, **settings})
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    return run_command


class TestServices:
    def test_create_sends_what_was_asked_for_and_nothing_else(self, cloud: Cloud, run: Run):
        cloud.answer("POST", SERVICES, service("creating"))

        result = run(*NEW_SERVICE, "--port", "443:8443", "--name", "billing", "--no-approval", "--tag", "team=fin=1")

        assert result.exit_code == 0, result.stderr
        assert cloud.asked[0].body == {
            "port_id": "p1",
            "vpc_id": "v1",
            "server_type": "VM",
            "ports": [
                {"client_port": 80, "server_port": 8080, "protocol": "TCP"},
                {"client_port": 443, "server_port": 8443, "protocol": "TCP"},
            ],
            "service_name": "billing",
            "approval_enabled": False,
            "tags": [{"key": "team", "value": "fin=1"}],
        }

    def test_json_is_what_the_server_sent(self, cloud: Cloud, run: Run):
        sent = service("creating", something_new={"a": [1, None]}, description="Grüße \x1b[31m")
        cloud.answer("POST", SERVICES, sent)

        result = run(*NEW_SERVICE, "--json")

        assert json.loads(result.stdout) == sent
        assert result.stderr == ""

    def test_wait_ends_when_the_service_is_available(self, cloud: Cloud, run: Run):
        cloud.answer("POST", SERVICES, service("creating"))
        cloud.answer("GET", SERVICE, service("creating"), service("creating"), service("available"))

        result = run(*NEW_SERVICE, "--wait", "--json")

        assert result.exit_code == 0
        assert json.loads(result.stdout)["status"] == "available"
        told = [line.split(" (")[0] for line in result.stderr.splitlines()]
        assert told == [f"service {SERVICE_ID}: creating", f"service {SERVICE_ID}: available"]

    def test_wait_tells_why_a_service_failed(self, cloud: Cloud, run: Run):
        cloud.answer("POST", SERVICES, service("creating"))
        cloud.answer("GET", SERVICE, service("failed", error=[{"code": "EndPoint.3010", "message": "no such NIC"}]))

        result = run(*NEW_SERVICE, "--wait", "--json")

        assert result.exit_code == 1
        assert json.loads(result.stdout)["status"] == "failed"
        assert f"error: service {SERVICE_ID} is failed: EndPoint.3010: no such NIC" in result.stderr

    def test_wait_gives_up_after_the_time_out(self, cloud: Cloud, run: Run):
        cloud.answer("POST", SERVICES, service("creating"))
        cloud.answer("GET", SERVICE, service("creating"))

        result = run(*NEW_SERVICE, "--wait", "--timeout", "0.1")

        assert result.exit_code == 1
        assert "error: gave up after" in result.stderr
        assert "is still creating" in result.stderr

    def test_wait_outlives_a_server_that_is_away_for_a_moment(self, cloud: Cloud, run: Run):
        cloud.answer("POST", SERVICES, service("creating"))
        cloud.answer("GET", SERVICE, (503, None), service("available"))

        result = run(*NEW_SERVICE, "--wait")

        assert result.exit_code == 0
        assert "no answer, trying again" in result.stderr

    @pytest.mark.parametrize(
        ("option", "value"), [("--port", "80"), ("--port", "0:80"), ("--tag", "=v"), ("--server-type", "BMS")]
    )
    def test_wrong_words_are_a_usage_error_and_ask_nobody(self, cloud: Cloud, run: Run, option: str, value: str):
        result = run(*NEW_SERVICE, option, value)

        assert result.exit_code == 2
        assert cloud.tokens_given == 0

    def test_list_fetches_page_after_page(self, cloud: Cloud, run: Run):
        pages = [{"endpoint_services": [service("available", f"id-{n}")], "total_count": 3} for n in range(3)]
        cloud.answer("GET", SERVICES, *pages)

        result = run("service", "list", "--status", "available", "--json")

        assert [one["id"] for one in json.loads(result.stdout)] == ["id-0", "id-1", "id-2"]
        assert [one.query["offset"] for one in cloud.asked] == ["0", "1", "2"]
        assert all(one.query["status"] == "available" for one in cloud.asked)

    def test_list_with_a_limit_is_one_request(self, cloud: Cloud, run: Run):
        cloud.answer("GET", SERVICES, {"endpoint_services": [service("available")], "total_count": 9})

        run("service", "list", "--limit", "1", "--offset", "4", "--sort-key", "created_at", "--sort-dir", "asc")

        asked = {"limit": "1", "offset": "4", "sort_key": "created_at", "sort_dir": "asc"}
        assert [one.query for one in cloud.asked] == [asked]

    def test_a_pipe_gets_whole_ids_in_columns(self, cloud: Cloud, run: Run):
        listed = [service("available", connection_count=2), service("failed", OTHER_SERVICE_ID, "a-longer-name")]
        cloud.answer("GET", SERVICES, {"endpoint_services": listed, "total_count": 2})

        lines = run("service", "list").stdout.splitlines()

        assert lines[0].split() == ["ID", "NAME", "STATUS", "TYPE", "PORTS", "CONNECTIONS"]
        assert lines[1].split() == [SERVICE_ID, "billing", "available", "VM", "80:8080", "2"]
        assert lines[2].split() == [OTHER_SERVICE_ID, "a-longer-name", "failed", "VM", "80:8080"]

    @pytest.mark.parametrize("name", ["billing", f"lab-1.billing.{SERVICE_ID}"])
    def test_show_finds_a_service_by_its_names(self, cloud: Cloud, run: Run, name: str):
        similar = [service("available"), service("available", OTHER_SERVICE_ID, "billing-2")]
        cloud.answer("GET", SERVICES, {"endpoint_services": similar, "total_count": 2})
        cloud.answer("GET", SERVICE, service("available", pool_id="a7"))

        result = run("service", "show", name, "--json")

        assert json.loads(result.stdout) == service("available", pool_id="a7")

    def test_a_name_of_two_services_is_refused_with_their_ids(self, cloud: Cloud, run: Run):
        both = [service("available"), service("creating", OTHER_SERVICE_ID)]
        cloud.answer("GET", SERVICES, {"endpoint_services": both, "total_count": 2})

        result = run("service", "show", "billing")

        assert result.exit_code == 1
        assert "2 services are called 'billing'" in result.stderr
        assert SERVICE_ID in result.stderr
        assert OTHER_SERVICE_ID in result.stderr

    def test_an_unknown_name_is_refused_with_similar_ones(self, cloud: Cloud, run: Run):
        cloud.answer("GET", SERVICES, {"endpoint_services": [service("available")], "total_count": 1})

        result = run("service", "show", "bill")

        assert result.exit_code == 1
        assert "no service called 'bill'" in result.stderr
        assert f"lab-1.billing.{SERVICE_ID}" in result.stderr

    def test_delete_waits_until_the_service_is_gone(self, cloud: Cloud, run: Run):
        cloud.answer("DELETE", SERVICE, None, status=204)
        cloud.answer("GET", SERVICE, service("deleting"), (404, refusal("EndPoint.0005", "not found")))

        result = run("service", "delete", SERVICE_ID, "--wait")

        assert result.exit_code == 0, result.stderr
        assert result.stdout == f"service {SERVICE_ID} deleted\n"

    def test_delete_goes_on_after_a_refusal_and_says_so(self, cloud: Cloud, run: Run):
        cloud.refuse("DELETE", SERVICE, 400, "EndPoint.3006", "in use")
        cloud.answer("DELETE", f"{SERVICES}/{OTHER_SERVICE_ID}", None, status=204)

        result = run("service", "delete", SERVICE_ID, OTHER_SERVICE_ID)

        assert result.exit_code == 1
        assert f"error: service {SERVICE_ID}: EndPoint.3006: in use" in result.stderr
        assert f"service {OTHER_SERVICE_ID} is being deleted" in result.stdout

    def test_a_misspelt_name_deletes_nothing(self, cloud: Cloud, run: Run):
        cloud.answer("GET", SERVICES, {"endpoint_services": [], "total_count": 0})

        result = run("service", "delete", SERVICE_ID, "misspelt")

        assert result.exit_code == 1
        assert cloud.asked_for("DELETE") == []

    @pytest.mark.parametrize(("command", "action"), [("permit", "add"), ("forbid", "remove")])
    def test_a_bare_domain_id_becomes_an_entry(self, cloud: Cloud, run: Run, command: str, action: str):
        entries = ["iam:domain::d2f0", "*", "iam:domain::*"]
        cloud.answer("POST", f"{SERVICE}/permissions/action", {"permissions": entries, "permission_type": "domainId"})

        result = run("service", command, SERVICE_ID, "d2f0", "*", "iam:domain::*")

        assert result.exit_code == 0, result.stderr
        assert cloud.asked[0].body == {"action": action, "permissions": entries}

    def test_permissions_as_json_are_the_array(self, cloud: Cloud, run: Run):
        found = [{"id": "9a", "permission": "iam:domain::d2f0", "permission_type": "domainId", "description": ""}]
        cloud.answer("GET", f"{SERVICE}/permissions", {"permissions": found, "total_count": 1})

        assert json.loads(run("service", "permissions", SERVICE_ID, "--json").stdout) == found


class TestEndpoints:
    def test_create_switches_the_whitelist_on_when_one_is_given(self, cloud: Cloud, run: Run):
        cloud.answer("POST", ENDPOINTS, endpoint("creating"))

        run(*NEW_ENDPOINT, "--ip", "10.0.0.9", "--dns", "--whitelist", "10.0.0.0/24", "--whitelist", "10.0.1.7")

        assert cloud.asked[0].body == {
            "endpoint_service_id": SERVICE_ID,
            "vpc_id": "v2",
            "subnet_id": "s2",
            "port_ip": "10.0.0.9",
            "enable_dns": True,
            "whitelist": ["10.0.0.0/24", "10.0.1.7"],
            "enable_whitelist": True,
        }

    def test_an_endpoint_of_a_gateway_service_has_route_tables_in_place_of_a_subnet(self, cloud: Cloud, run: Run):
        tables = ["rt-1", "rt-2"]
        cloud.answer("POST", ENDPOINTS, endpoint("creating", service_type="gateway", routetables=tables))

        result = run(
            *("endpoint", "create", "--service", SERVICE_ID, "--vpc-id", "v2"),
            *("--route-table", "rt-1", "--route-table", "rt-2"),
        )

        assert cloud.asked[0].body == {"endpoint_service_id": SERVICE_ID, "vpc_id": "v2", "routetables": tables}
        assert "rt-1 rt-2" in result.stdout

    def test_wait_ends_with_the_address_of_an_accepted_endpoint(self, cloud: Cloud, run: Run):
        cloud.answer("POST", ENDPOINTS, endpoint("creating"))
        cloud.answer("GET", ENDPOINT, endpoint("creating"), endpoint("accepted", ip="10.0.0.9"))

        result = run(*NEW_ENDPOINT, "--wait")

        assert result.exit_code == 0, result.stderr
        assert "10.0.0.9" in result.stdout
        assert f"endpoint {ENDPOINT_ID}: accepted" in result.stderr

    def test_wait_does_not_wait_for_the_provider_but_says_who_must_accept(self, cloud: Cloud, run: Run):
        cloud.answer("POST", ENDPOINTS, endpoint("pendingAcceptance"))

        result = run(*NEW_ENDPOINT, "--wait", "--json")

        assert result.exit_code == 0
        assert json.loads(result.stdout)["status"] == "pendingAcceptance"
        assert f"landbridge connection accept {SERVICE_ID} {ENDPOINT_ID}" in result.stderr
        assert cloud.asked_for("GET") == []

    def test_wait_tells_when_the_endpoint_was_rejected(self, cloud: Cloud, run: Run):
        cloud.answer("POST", ENDPOINTS, endpoint("creating"))
        cloud.answer("GET", ENDPOINT, endpoint("rejected"))

        result = run(*NEW_ENDPOINT, "--wait")

        assert result.exit_code == 1
        assert f"error: endpoint {ENDPOINT_ID} is rejected" in result.stderr

    def test_a_full_service_name_is_looked_up_as_any_tenant_may(self, cloud: Cloud, run: Run):
        name = f"lab-1.billing.{SERVICE_ID}"
        cloud.answer("GET", f"{SERVICES}/describe", {"id": SERVICE_ID, "service_name": name})
        cloud.answer("POST", ENDPOINTS, endpoint("creating"))

        result = run("endpoint", "create", "--service", name, "--vpc-id", "v2", "--subnet-id", "s2")

        assert result.exit_code == 0, result.stderr
        assert cloud.asked[0].query == {"endpoint_service_name": name}
        assert cloud.asked[1].body["endpoint_service_id"] == SERVICE_ID

    def test_delete_waits_until_the_endpoint_is_gone(self, cloud: Cloud, run: Run):
        cloud.answer("DELETE", ENDPOINT, None, status=204)
        cloud.answer("GET", ENDPOINT, endpoint("deleting"), (404, refusal("EndPoint.2008", "deleted")))

        result = run("endpoint", "delete", ENDPOINT_ID, "--wait", "--json")

        assert (result.exit_code, result.stdout) == (0, "")

    def test_a_word_that_is_no_id_never_becomes_a_path(self, cloud: Cloud, run: Run):
        result = run("endpoint", "show", "../quotas")

        assert result.exit_code == 2
        assert cloud.asked == []


class TestConnections:
    def test_accept_waits_until_packets_can_pass(self, cloud: Cloud, run: Run):
        cloud.answer("POST", f"{SERVICE}/connections/action", connections("creating"))
        cloud.answer("GET", f"{SERVICE}/connections", connections("creating"), connections("accepted"))

        result = run("connection", "accept", SERVICE_ID, ENDPOINT_ID, "--wait", "--json")

        assert result.exit_code == 0, result.stderr
        assert json.loads(result.stdout) == connections("accepted")["connections"][0]
        assert cloud.asked[0].body == {"action": "receive", "endpoints": [ENDPOINT_ID]}
        assert cloud.asked[1].query == {"id": ENDPOINT_ID}

    def test_accept_fails_if_somebody_rejects_meanwhile(self, cloud: Cloud, run: Run):
        cloud.answer("POST", f"{SERVICE}/connections/action", connections("creating"))
        cloud.answer("GET", f"{SERVICE}/connections", connections("rejected"))

        assert run("connection", "accept", SERVICE_ID, ENDPOINT_ID, "--wait").exit_code == 1

    def test_accept_fails_if_the_endpoint_disappears(self, cloud: Cloud, run: Run):
        cloud.answer("POST", f"{SERVICE}/connections/action", connections("creating"))
        cloud.answer("GET", f"{SERVICE}/connections", connections())

        result = run("connection", "accept", SERVICE_ID, ENDPOINT_ID, "--wait")

        assert result.exit_code == 1
        assert f"connection {ENDPOINT_ID} is gone" in result.stderr

    def test_reject_waits_until_the_connection_is_cut(self, cloud: Cloud, run: Run):
        cloud.answer("POST", f"{SERVICE}/connections/action", connections("accepted"))
        cloud.answer("GET", f"{SERVICE}/connections", connections("accepted"), connections("rejected"))

        result = run("connection", "reject", SERVICE_ID, ENDPOINT_ID, "--wait")

        assert result.exit_code == 0, result.stderr
        assert f"connection {ENDPOINT_ID}: rejected" in result.stderr
        assert cloud.asked[0].body["action"] == "reject"

    def test_list_filters_by_status(self, cloud: Cloud, run: Run):
        cloud.answer("GET", f"{SERVICE}/connections", connections("pendingAcceptance"))

        result = run("connection", "list", SERVICE_ID, "--status", "pendingAcceptance", "--json")

        assert json.loads(result.stdout) == connections("pendingAcceptance")["connections"]
        assert cloud.asked[0].query["status"] == "pendingAcceptance"

    def test_show_says_when_there_is_no_such_connection(self, cloud: Cloud, run: Run):
        cloud.answer("GET", f"{SERVICE}/connections", connections())

        result = run("connection", "show", SERVICE_ID, ENDPOINT_ID)

        assert result.exit_code == 1
        assert "has no connection" in result.stderr

    def test_what_another_tenant_wrote_does_not_steer_the_terminal(self, cloud: Cloud, run: Run):
        found = connections("pendingAcceptance", description="\x1b]0;owned\x07 [red]x[/red]\nfaked line")
        cloud.answer("GET", f"{SERVICE}/connections", found)

        stdout = run("connection", "list", SERVICE_ID).stdout

        assert "\x1b" not in stdout
        assert "\x07" not in stdout
        assert "[red]x[/red] faked line" in stdout


class TestErrors:
    def test_an_api_error_is_one_line_with_code_and_request_id(self, cloud: Cloud, run: Run):
        cloud.refuse("GET", SERVICE, 404, "EndPoint.0005", "no such service")

        result = run("service", "show", SERVICE_ID)

        assert result.exit_code == 1
        assert result.stderr == f"error: EndPoint.0005: no such service (request id {REQUEST_ID})\n"
        assert result.stdout == ""

    @pytest.mark.parametrize(
        ("body", "text"),
        [
            ({"error": {"message": "M", "code": "EndPoint.0002"}}, "EndPoint.0002: M"),
            ({"error_code": "EndPoint.0002", "error_msg": "M"}, "EndPoint.0002: M"),
            (None, "HTTP 400: the server gave no reason"),
            (["odd"], "HTTP 400: the server gave no reason"),
        ],
    )
    def test_every_documented_form_of_an_error_is_read(self, cloud: Cloud, run: Run, body: Any, text: str):
        cloud.answer("GET", SERVICE, (400, body))

        assert f"error: {text} (" in run("service", "show", SERVICE_ID).stderr

    def test_an_answer_of_something_else_is_told(self, cloud: Cloud, run: Run):
        cloud.answer("GET", SERVICES, ["hello"])

        result = run("service", "list")

        assert result.exit_code == 1
        assert "is this a VPC Endpoint API?" in result.stderr

    def test_an_expired_token_is_renewed(self, cloud: Cloud, run: Run):
        cloud.answer("POST", SERVICES, service("creating"))
        cloud.answer("GET", SERVICE, service("creating"), service("available"))
        cloud.requests_per_token = 1

        result = run(*NEW_SERVICE, "--wait")

        assert result.exit_code == 0, result.stderr
        assert cloud.tokens_given == 3


class TestSigningIn:
    def test_a_wrong_password_is_refused_and_not_repeated(self, cloud: Cloud, run: Run):
        result = run("service", "list", OS_PASSWORD="wrong-secret")

        assert result.exit_code == 1
        assert result.stderr == f"error: 401: Wrong name or password. (request id {REQUEST_ID})\n"
        assert "wrong-secret" not in result.output

    @pytest.mark.parametrize("missing", ["OS_PASSWORD", "OS_USERNAME", "OS_AUTH_URL"])
    def test_missing_settings_are_named(self, run: Run, missing: str):
        result = run("service", "list", **{missing: None})

        assert result.exit_code == 2
        assert result.stderr.startswith("error: no credentials (")
        assert "OS_AUTH_URL" in result.stderr
        assert "clouds.yaml" in result.stderr

    @pytest.mark.parametrize("missing", ["OS_USER_DOMAIN_NAME", "OS_PROJECT_DOMAIN_NAME"])
    def test_a_missing_domain_does_not_end_in_a_traceback(self, run: Run, missing: str):
        result = run("service", "list", **{missing: None})

        assert result.exit_code in {1, 2}
        assert result.stderr.startswith("error: ")

    def test_an_unknown_cloud_is_told(self, run: Run):
        result = run("service", "list", "--os-cloud", "nowhere")

        assert result.exit_code == 2
        assert "Cloud nowhere was not found" in result.stderr

    def test_a_cloud_of_clouds_yaml_is_used(self, cloud: Cloud, run: Run, tmp_path: Path):
        auth = {
            "auth_url": f"{cloud.url}/v3",
            "username": "acme-admin",
            "password": PASSWORD,
            "project_name": "acme",
            "user_domain_name": "acme",
            "project_domain_name": "acme",
        }
        described = {"clouds": {"lab": {"auth": auth, "region_name": "lab-1"}}}
        file = tmp_path / "clouds.yaml"
        file.write_text(json.dumps(described))
        cloud.answer("GET", SERVICES, {"endpoint_services": [], "total_count": 0})

        settings = {**dict.fromkeys(cloud.settings), "OS_CLIENT_CONFIG_FILE": str(file)}
        result = run("service", "list", "--os-cloud", "lab", "--json", **settings)

        assert result.exit_code == 0, result.stderr
        assert json.loads(result.stdout) == []

    @pytest.mark.parametrize("tail", ["", "/", "/v1", "/v1/%(project_id)s", f"/v1/{PROJECT_ID}/"])
    def test_an_override_replaces_the_catalogue(self, cloud: Cloud, run: Run, tail: str):
        cloud.region = "elsewhere"
        cloud.answer("GET", SERVICE, service("available"))

        result = run("service", "show", SERVICE_ID, OS_VPCEP_ENDPOINT_OVERRIDE=cloud.url + tail)

        assert result.exit_code == 0, result.stderr

    def test_a_region_without_the_service_is_told(self, run: Run):
        result = run("service", "list", OS_REGION_NAME="lab-9")

        assert result.exit_code == 1
        assert "no service of type vpcep in region lab-9" in result.stderr

    def test_without_a_region_the_only_one_is_taken(self, cloud: Cloud, run: Run):
        cloud.answer("GET", SERVICE, service("available"))

        assert run("service", "show", SERVICE_ID, OS_REGION_NAME=None).exit_code == 0

    def test_a_server_that_is_not_there_is_a_sentence(self, run: Run):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            port = taken.getsockname()[1]
            identity = run("service", "list", OS_AUTH_URL=f"http://user:hidden@127.0.0.1:{port}/v3")
            api = run("service", "list", OS_VPCEP_ENDPOINT_OVERRIDE=f"http://127.0.0.1:{port}")

        for result in (identity, api):
            assert result.exit_code == 1
            assert f"error: cannot reach http://127.0.0.1:{port}" in result.stderr
            assert "connection refused" in result.stderr
            assert len(result.stderr.splitlines()) == 1
            assert "hidden" not in result.output


class TestTheProcess:
    def test_importing_the_commands_loads_click_and_the_standard_library_only(self):
        program = (
            "import sys; before = set(sys.modules)\n"
            "import landbridge.cli.resources\n"
            "print({name.partition('.')[0] for name in sys.modules.keys() - before} - sys.stdlib_module_names)"
        )
        loaded = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True)

        assert eval(loaded.stdout) == {"click", "landbridge"}  # noqa: S307

    def test_a_terminal_gets_a_table_without_colour_if_it_wants_none(self, cloud: Cloud, tmp_path: Path):
        cloud.answer("POST", SERVICES, service("creating"))
        cloud.answer("GET", SERVICE, service("available", description="[red]brackets[/red]"))
        program = f"from landbridge.cli.resources import service; service({[*NEW_SERVICE[1:], '--wait']!r})"
        terminal, its_end = pty.openpty()
        # The kernel's buffer of a terminal holds all that such a short command says.
        environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "TERM": "xterm-256color", "NO_COLOR": "1"}
        done = subprocess.run(
            [sys.executable, "-c", program],
            stdout=its_end,
            stderr=subprocess.PIPE,
            env={**environment, **cloud.settings},
            cwd=tmp_path,
            check=False,
        )
        os.close(its_end)
        shown = os.read(terminal, 65536).decode()
        os.close(terminal)

        assert done.returncode == 0, done.stderr
        assert "─" in shown
        assert "[red]brackets[/red]" in shown
        assert "\x1b[3" not in shown
