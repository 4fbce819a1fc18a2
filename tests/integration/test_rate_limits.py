"""Who is told to slow down, how, and who is not.

The clock is the real one. Where a limit is tested, so much more is sent than allowed that its speed does not matter.
"""

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.exceptions.exceptions import ClientRequestException
from huaweicloudsdkcore.http.http_config import HttpConfig
from huaweicloudsdkvpcep.v1 import ListEndpointServiceRequest, VpcepClient

from landbridge.api.app import create_app
from tests.integration.conftest import Tenant, World, running
from tests.integration.live import Server, live_server

BURST, SENT = 5, 60
FAILURES = 3


@pytest.fixture
async def strict(tmp_path: Path, database_with_the_lab: Path) -> AsyncIterator[World]:
    """A server where each project has one request a second, and five at once; three sign-ins may fail in a minute."""
    shutil.copy(database_with_the_lab, tmp_path)
    limits = {"rate_requests_per_second": 1, "rate_burst": BURST, "rate_failed_signins_per_minute": FAILURES}
    async with running(tmp_path, **limits) as world:
        yield world


async def tenant(world: World, project: str) -> Tenant:
    return await world.login(f"{project}-admin", f"{project}-password", project)


def password_body(password: str, project: str = "acme") -> Any:
    user = {"name": f"{project}-admin", "password": password, "domain": {"name": project}}
    scope = {"project": {"name": project, "domain": {"name": project}}}
    return {"auth": {"identity": {"methods": ["password"], "password": {"user": user}}, "scope": scope}}


async def sign_in(world: World, password: str, client: str = "192.0.2.1") -> httpx.Response:
    """Sign in from an address."""
    transport = httpx.ASGITransport(create_app(world.parts.api, world.telemetry), client=(client, 4711))
    async with httpx.AsyncClient(transport=transport, base_url="http://vpcep.test") as http:
        return await http.post("/v3/auth/tokens", json=password_body(password))


async def locked_out(world: World, client: str = "192.0.2.1") -> httpx.Response:
    """Send wrong passwords until one is refused unseen; return that refusal."""
    for _ in range(10 * FAILURES):
        answer = await sign_in(world, "wrong", client)
        if answer.status_code != 401:
            return answer
    raise AssertionError("nobody was refused")


def refused_count(world: World, limit: str) -> float:
    return world.telemetry.registry.get_sample_value("landbridge_requests_refused_total", {"limit": limit}) or 0.0


async def test_a_project_over_its_share_is_told_when_to_come_again(strict: World):
    acme = await tenant(strict, "acme")

    answers = [await acme.call("GET", "vpc-endpoints") for _ in range(SENT)]

    refused = [answer for answer in answers if answer.status_code != 200]
    assert [answer.status_code for answer in answers[:BURST]] == [200] * BURST
    assert {answer.status_code for answer in refused} == {400}
    assert {answer.json()["error_code"] for answer in refused} == {"EndPoint.0022"}
    assert {answer.headers["Retry-After"] for answer in refused} == {"1"}
    assert refused_count(strict, "project") == len(refused)


async def test_one_project_over_its_share_leaves_the_others_theirs(strict: World):
    acme, globex = await tenant(strict, "acme"), await tenant(strict, "globex")
    for _ in range(SENT):
        await acme.call("GET", "vpc-endpoints")

    answers = [await globex.call("GET", "vpc-endpoints") for _ in range(BURST)]

    assert {answer.status_code for answer in answers} == {200}


async def test_strangers_do_not_use_up_a_projects_share(strict: World):
    acme, globex = await tenant(strict, "acme"), await tenant(strict, "globex")
    path = f"/v1/{acme.project_id}/vpc-endpoints"
    for _ in range(SENT):
        await strict.http.get(path)
        await strict.http.get(path, headers={"X-Auth-Token": "forged"})
        await strict.http.get(path, headers={"X-Auth-Token": globex.token})

    answers = [await acme.call("GET", "vpc-endpoints") for _ in range(BURST)]

    assert {answer.status_code for answer in answers} == {200}


async def test_after_too_many_wrong_passwords_the_right_one_is_refused_too_from_there(strict: World):
    refusal = await locked_out(strict)

    right = await sign_in(strict, "acme-password")
    elsewhere = await sign_in(strict, "acme-password", "192.0.2.2")

    assert (refusal.status_code, right.status_code, elsewhere.status_code) == (400, 400, 201)
    assert 1 <= int(refusal.headers["Retry-After"]) <= 60
    assert refusal.json()["error"]["code"] == 400
    assert refusal.json()["error_code"] == "EndPoint.0022"
    assert refused_count(strict, "sign-in") == 2


async def test_right_passwords_never_lock_anybody_out(strict: World):
    answers = await asyncio.gather(*(sign_in(strict, "acme-password") for _ in range(4 * FAILURES)))

    assert {answer.status_code for answer in answers} == {201}


async def test_passwords_guessed_at_once_are_no_more_than_one_after_the_other(strict: World):
    answers = await asyncio.gather(*(sign_in(strict, "wrong") for _ in range(10 * FAILURES)))

    # One more for each 20 seconds that this takes.
    assert FAILURES <= [answer.status_code for answer in answers].count(401) <= FAILURES + 3


async def test_the_addresses_of_one_ipv6_site_are_one_guesser(strict: World):
    await locked_out(strict, "2001:db8:1:2::1")

    assert (await sign_in(strict, "acme-password", "2001:db8:1:2:ffff::9")).status_code == 400
    assert (await sign_in(strict, "acme-password", "2001:db8:1:3::1")).status_code == 201


async def test_wrong_tokens_lock_nobody_out(strict: World):
    for _ in range(10 * FAILURES):
        await strict.http.get("/v1/any/vpc-endpoints", headers={"X-Auth-Token": "forged"})

    answer = await strict.http.post("/v3/auth/tokens", json=password_body("acme-password"))

    assert answer.status_code == 201


async def test_a_body_that_cannot_be_read_is_no_failed_sign_in(strict: World):
    for _ in range(10 * FAILURES):
        assert (await strict.http.post("/v3/auth/tokens", content=b"{")).status_code == 400

    answer = await strict.http.post("/v3/auth/tokens", json=password_body("acme-password"))

    assert answer.status_code == 201


@pytest.fixture(scope="module")
def strict_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    settings = f'rate_failed_signins_per_minute = {FAILURES}\ntrusted_proxies = ["127.0.0.1"]\n'
    with live_server(tmp_path_factory.mktemp("strict"), settings=settings) as running_server:
        yield running_server


def list_services(server: Server, secret_key: str, access_key: str = "ACMEKEY") -> str:
    """Ask as the Huawei SDK does; return the code of the refusal, empty if there is none."""
    client = (
        VpcepClient.new_builder()
        .with_http_config(HttpConfig.get_default_config())
        .with_credentials(BasicCredentials(access_key, secret_key, server.project_id("acme")))
        .with_endpoint(server.url)
        .build()
    )
    try:
        client.list_endpoint_service(ListEndpointServiceRequest())
    except ClientRequestException as error:
        return str(error.error_code)
    return ""


def test_after_too_many_wrong_signatures_the_right_one_is_refused_too_and_other_keys_are_not(strict_server: Server):
    codes = [list_services(strict_server, "wrong") for _ in range(10 * FAILURES)]

    assert codes[:FAILURES] == ["EndPoint.0003"] * FAILURES
    assert "EndPoint.0022" in codes
    assert list_services(strict_server, "acme-secret-key") == "EndPoint.0022"
    assert list_services(strict_server, "initech-secret-key", "INITECHKEY") == "EndPoint.0004"


def test_a_lab_has_no_limit_that_was_not_set(strict_server: Server):
    headers = {"X-Forwarded-For": "203.0.113.1"}
    with httpx.Client(base_url=strict_server.url, headers=headers) as http:
        token = http.post("/v3/auth/tokens", json=password_body("acme-password")).headers["X-Subject-Token"]
        path = f"/v1/{strict_server.project_id('acme')}/vpc-endpoints"
        statuses = {http.get(path, headers={"X-Auth-Token": token}).status_code for _ in range(800)}

    assert statuses == {200}


def test_behind_a_trusted_proxy_each_client_fails_for_itself(strict_server: Server):
    def status(password: str, client: str) -> int:
        headers = {"X-Forwarded-For": client}
        return httpx.post(
            f"{strict_server.url}/v3/auth/tokens", json=password_body(password), headers=headers
        ).status_code

    failed = [status("wrong", "203.0.113.7") for _ in range(10 * FAILURES)]

    assert 400 in failed
    assert status("acme-password", "203.0.113.7") == 400
    assert status("acme-password", "203.0.113.8") == 201
