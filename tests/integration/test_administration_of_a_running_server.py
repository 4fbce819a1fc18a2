"""Projects, users and access keys by command, on the state directory of a living server."""

import asyncio
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.exceptions.exceptions import ClientRequestException
from huaweicloudsdkvpcep.v1 import ListEndpointsRequest, VpcepClient

from landbridge.bootstrap.local_accounts import local_accounts
from landbridge.settings import Settings
from tests.integration.live import Server
from tests.integration.test_administration import Console


@pytest.fixture
def beside(server: Server) -> Console:
    """The command line on the state directory of a living server."""
    return Console(server.state)


def unique(word: str) -> str:
    return f"{word}-{os.getpid()}-{time.monotonic_ns()}"


def sign_in(server: Server, user: Any, password: str, project_id: str) -> httpx.Response:
    identity = {"methods": ["password"], "password": {"user": {"id": user["id"], "password": password}}}
    body = {"auth": {"identity": identity, "scope": {"project": {"id": project_id}}}}
    return httpx.post(f"{server.url}/v3/auth/tokens", json=body, timeout=10)


def list_status(server: Server, project_id: str, token: str) -> int:
    """Ask for the project's endpoints; return the HTTP status."""
    headers = {"X-Auth-Token": token}
    return httpx.get(f"{server.url}/v1/{project_id}/vpc-endpoints", headers=headers, timeout=10).status_code


def until(is_so: Callable[[], bool], within_seconds: float = 15) -> None:
    deadline = time.monotonic() + within_seconds
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_new_user_signs_in_at_once_and_a_deleted_ones_token_ends_within_seconds(server: Server, beside: Console):
    project = beside.get("project", "create", unique("shop"))
    user = beside.get("user", "create", unique("ann"), "--project", project["id"])

    token = sign_in(server, user, user["password"], project["id"]).headers["X-Subject-Token"]
    assert list_status(server, project["id"], token) == 200
    beside.get("user", "delete", user["id"])

    until(lambda: list_status(server, project["id"], token) == 401)
    assert sign_in(server, user, user["password"], project["id"]).status_code == 401


def test_the_vendors_sdk_works_with_a_new_key_and_finds_its_only_project(server: Server, beside: Console):
    project = beside.get("project", "create", unique("shop"))
    user = beside.get("user", "create", unique("ann"), "--project", project["id"], "--role", "reader")
    key = beside.get("key", "create", user["id"])
    credentials = BasicCredentials(key["access_key"], key["secret_key"], project["id"])
    client = VpcepClient.new_builder().with_credentials(credentials).with_endpoint(server.url).build()

    assert client.list_endpoints(ListEndpointsRequest()).total_count == 0
    found = httpx.get(
        f"{server.url}/v3/projects",
        params={"name": "lab-1"},
        headers={"X-Auth-Token": sign_in(server, user, user["password"], project["id"]).headers["X-Subject-Token"]},
    )
    assert [one["id"] for one in found.json()["projects"]] == [project["id"]]
    beside.get("key", "delete", key["access_key"])
    with pytest.raises(ClientRequestException, match="the access key or the signature is wrong"):
        client.list_endpoints(ListEndpointsRequest())


def test_a_project_that_still_owns_something_is_not_deleted_and_the_message_names_it(server: Server, beside: Console):
    project = beside.get("project", "create", unique("shop"))
    user = beside.get("user", "create", unique("ann"), "--project", project["id"])
    token = sign_in(server, user, user["password"], project["id"]).headers["X-Subject-Token"]
    vpcs = f"{server.url}/v1/{project['id']}/vpcs"
    body = {"vpc": {"name": "shop", "cidr": "10.0.0.0/16"}}
    made = httpx.post(vpcs, json=body, headers={"X-Auth-Token": token}, timeout=10)
    vpc_id = made.json()["vpc"]["id"]

    assert f"still owns VPCs {vpc_id}: delete them first" in beside.refused("project", "delete", project["id"])
    assert httpx.delete(f"{vpcs}/{vpc_id}", headers={"X-Auth-Token": token}, timeout=10).status_code == 204
    assert beside.get("project", "delete", project["id"])["id"] == project["id"]


def test_commands_and_requests_that_write_at_once_all_succeed(server: Server, beside: Console):
    ids = server.ids["projects"]["acme"]
    user = {"id": ids["users"]["acme-admin"]["user_id"]}
    token = sign_in(server, user, "acme-password", ids["project_id"]).headers["X-Subject-Token"]
    vpcs = f"{server.url}/v1/{ids['project_id']}/vpcs"

    def request(number: int) -> int:
        body = {"vpc": {"name": f"busy-{number}", "cidr": "10.0.0.0/16"}}
        made = httpx.post(vpcs, json=body, headers={"X-Auth-Token": token}, timeout=30)
        path = f"{vpcs}/{made.json()['vpc']['id']}"
        return httpx.delete(path, headers={"X-Auth-Token": token}, timeout=30).status_code

    def command(number: int) -> str:
        with local_accounts(server.state, Settings()) as accounts:
            return asyncio.run(accounts.create_project(unique(f"busy-{number}"))).id

    with ThreadPoolExecutor(6) as threads:
        requests = [threads.submit(request, number) for number in range(12)]
        commands = [threads.submit(command, number) for number in range(12)]
        statuses = {done.result() for done in requests}
        project_ids = {done.result() for done in commands}

    assert statuses == {204}
    assert project_ids <= {project["id"] for project in beside.get("project", "list")["projects"]}
    assert len(project_ids) == 12
