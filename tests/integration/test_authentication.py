"""Who may ask: tokens, signatures, projects, roles; and the identity routes (contract 8)."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jwt
import pytest
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.sdk_request import SdkRequest
from huaweicloudsdkcore.signer.algorithm import SigningAlgorithm

from tests.integration.conftest import PUBLIC_URL, Tenant, World, running

ROUTES = [
    ("GET", "vpc-endpoint-services"),
    ("POST", "vpc-endpoint-services"),
    ("GET", "vpc-endpoint-services/x"),
    ("DELETE", "vpc-endpoint-services/x"),
    ("GET", "vpc-endpoint-services/describe"),
    ("GET", "vpc-endpoint-services/x/connections"),
    ("POST", "vpc-endpoint-services/x/connections/action"),
    ("GET", "vpc-endpoint-services/x/permissions"),
    ("POST", "vpc-endpoint-services/x/permissions/action"),
    ("GET", "vpc-endpoints"),
    ("POST", "vpc-endpoints"),
    ("GET", "vpc-endpoints/x"),
    ("DELETE", "vpc-endpoints/x"),
]


def signed(
    method: str,
    path: str,
    access_key: str,
    secret_key: str,
    project_id: str,
    body: str = "",
    at: datetime | None = None,
) -> dict[str, str]:
    """Return the headers that the vendor's SDK sends with a request."""
    path_only, _, query = path.partition("?")
    request = SdkRequest(
        method=method,
        schema="http",
        host=PUBLIC_URL.removeprefix("http://"),
        resource_path=path_only,
        uri=path,
        query_params=[tuple(pair.split("=", 1)) for pair in query.split("&") if pair],
        header_params={"Content-Type": "application/json", "X-Project-Id": project_id},
        body=body,
        signing_algorithm=SigningAlgorithm.HMAC_SHA256,
    )
    if at is not None:
        request.header_params["X-Sdk-Date"] = at.strftime("%Y%m%dT%H%M%SZ")
    credentials = BasicCredentials(access_key, secret_key, project_id)
    return dict(credentials.sign_request(request).header_params)


@pytest.mark.parametrize(("method", "path"), ROUTES)
@pytest.mark.parametrize("token", [None, "", "nonsense", "a.b.c", "x" * 20_000])
async def test_every_route_refuses_a_caller_without_a_valid_token(acme: Tenant, method, path, token):
    stranger = Tenant(acme.http, acme.project_id, acme.domain_id, token or "")

    assert await stranger.refused(method, path, {} if method == "POST" else None) == (401, "EndPoint.0003")


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_every_route_refuses_a_token_of_another_project_than_the_paths(
    acme: Tenant, globex: Tenant, method, path
):
    intruder = Tenant(acme.http, acme.project_id, acme.domain_id, globex.token)

    assert await intruder.refused(method, path, {} if method == "POST" else None) == (403, "EndPoint.0004")


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_a_reader_may_look_and_not_change(world: World, method, path):
    identity = {
        "methods": ["password"],
        "password": {"user": {"name": "acme-reader", "password": "reader-password", "domain": {"name": "acme"}}},
    }
    scope = {"project": {"name": "acme", "domain": {"name": "acme"}}}
    answer = await world.http.post("/v3/auth/tokens", json={"auth": {"identity": identity, "scope": scope}})
    facts = world.ids["projects"]["acme"]
    reader = Tenant(world.http, facts["project_id"], facts["domain_id"], answer.headers["X-Subject-Token"])

    answered = await reader.call(method, path, {} if method == "POST" else None)

    assert (answered.status_code == 403) is (method != "GET")


async def test_a_malformed_project_id_is_a_bad_request(acme: Tenant):
    for project_id in ("a" * 65, "a b", "%00"):
        stranger = Tenant(acme.http, project_id, acme.domain_id, acme.token)
        assert await stranger.refused("GET", "vpc-endpoints") == (400, "EndPoint.0014")


async def test_a_token_forged_with_another_key_or_without_one_is_refused(acme: Tenant):
    claims = jwt.decode(acme.token, options={"verify_signature": False})
    for forged in (
        jwt.encode(claims, "another key of thirty-two bytes!!", "HS256"),
        jwt.encode(claims, None, "none"),
        acme.token[:-4] + "AAAA",
    ):
        intruder = Tenant(acme.http, acme.project_id, acme.domain_id, forged)
        assert await intruder.refused("GET", "vpc-endpoints") == (401, "EndPoint.0003")


async def test_a_token_stays_valid_over_a_restart_of_the_server(tmp_path: Path):
    async with running(tmp_path) as first:
        acme = await first.login("acme-admin", "acme-password", "acme")
    async with running(tmp_path) as second:
        again = Tenant(second.http, acme.project_id, acme.domain_id, acme.token)

        assert (await again.get("vpc-endpoints"))["total_count"] == 0


@pytest.mark.parametrize(
    "path",
    [
        "vpc-endpoint-services",
        "vpc-endpoint-services?endpoint_service_name=bill%20ing~x&limit=10",
        "vpc-endpoints?limit=1",
    ],
)
async def test_a_request_signed_by_the_vendors_sdk_is_accepted(world: World, acme: Tenant, path: str):
    full = f"/v1/{acme.project_id}/{path}"
    plain = full.replace("%20", " ")
    headers = signed("GET", plain, "ACMEKEY", "acme-secret-key", acme.project_id)

    answer = await world.http.get(full, headers=headers)

    assert answer.status_code == 200, answer.text


async def test_a_signed_body_is_accepted_and_a_changed_one_refused(world: World, acme: Tenant):
    path = f"/v1/{acme.project_id}/vpc-endpoint-services"
    body = json.dumps(world.service_body())
    headers = signed("POST", path, "ACMEKEY", "acme-secret-key", acme.project_id, body)

    changed = await world.http.post(path, headers=headers, content=body.replace("8080", "8081"))
    accepted = await world.http.post(path, headers=headers, content=body)

    assert (changed.status_code, changed.json()["error_code"]) == (401, "EndPoint.0003")
    assert accepted.status_code == 200


@pytest.mark.parametrize(
    ("access_key", "secret_key", "minutes", "status"),
    [
        ("ACMEKEY", "acme-secret-key", 0, 200),
        ("ACMEKEY", "acme-secret-key", 14, 200),
        ("ACMEKEY", "acme-secret-key", -14, 200),
        ("ACMEKEY", "acme-secret-key", 16, 401),
        ("ACMEKEY", "acme-secret-key", -16, 401),
        ("ACMEKEY", "another-secret", 0, 401),
        ("NOBODYSKEY", "acme-secret-key", 0, 401),
        ("GLOBEXKEY", "globex-secret-key", 0, 403),
    ],
)
async def test_a_signature_counts_for_its_key_its_project_and_a_quarter_of_an_hour(
    world: World, acme: Tenant, access_key, secret_key, minutes, status
):
    path = f"/v1/{acme.project_id}/vpc-endpoints"
    at = datetime.now(UTC) + timedelta(minutes=minutes)

    headers = signed("GET", path, access_key, secret_key, acme.project_id, at=at)

    assert (await world.http.get(path, headers=headers)).status_code == status


async def test_an_authorization_of_an_unknown_kind_is_refused_even_beside_a_valid_token(acme: Tenant):
    for value in ("Basic YTpi", "SDK-HMAC-SM3 Access=A, SignedHeaders=host, Signature=00", "SDK-HMAC-SHA256", "\xff"):
        headers = {"Authorization": value.encode("latin-1")}
        assert await acme.refused("GET", "vpc-endpoints", headers=headers) == (401, "EndPoint.0003")


async def test_a_token_answer_has_keystones_shape_and_a_catalogue_of_this_server(world: World, acme: Tenant):
    answer = await world.http.get(
        "/v3/auth/tokens", headers={"X-Auth-Token": acme.token, "X-Subject-Token": acme.token}
    )

    assert answer.status_code == 200
    assert answer.headers["X-Subject-Token"] == acme.token
    token = answer.json()["token"]
    assert token["methods"] == ["password"]
    assert token["user"]["name"] == "acme-admin"
    assert token["project"] == {
        "id": acme.project_id,
        "name": "acme",
        "domain": {"id": acme.domain_id, "name": "acme"},
    }
    assert [role["name"] for role in token["roles"]] == ["admin"]
    catalogue = {service["type"]: service["endpoints"][0] for service in token["catalog"]}
    assert catalogue["vpcep"]["url"] == f"{PUBLIC_URL}/v1/{acme.project_id}"
    assert catalogue["identity"]["url"] == f"{PUBLIC_URL}/v3"
    assert {(e["interface"], e["region"], e["region_id"]) for e in catalogue.values()} == {("public", "lab-1", "lab-1")}
    issued, expires = (datetime.fromisoformat(token[name]) for name in ("issued_at", "expires_at"))
    assert expires - issued == timedelta(hours=24)


def login(**user) -> dict:
    return {"auth": {"identity": {"methods": ["password"], "password": {"user": user}}}}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (login(name="acme-admin", password="wrong", domain={"name": "acme"}), 401),
        (login(name="nobody", password="acme-password", domain={"name": "acme"}), 401),
        (login(name="acme-admin", password="acme-password", domain={"name": "globex"}), 401),
        (login(name="acme-admin", password="acme-password", domain={"name": "acme"}), 201),
        ({"auth": {"identity": {"methods": ["totp"]}}}, 401),
        ({"auth": {}}, 400),
        ({}, 400),
        ({"auth": []}, 400),
        (login(name="a" * 300, password="x", domain={"name": "acme"}), 400),
    ],
)
async def test_a_login_is_answered_as_keystone_does(world: World, body: dict, status: int):
    answer = await world.http.post("/v3/auth/tokens", json=body)

    assert answer.status_code == status
    if status != 201:
        error = answer.json()["error"]
        assert error["code"] == status
        assert error["title"]
        assert error["message"]
        assert "acme-password" not in answer.text


async def test_a_login_to_a_project_without_a_role_there_is_refused(world: World):
    body = login(name="acme-admin", password="acme-password", domain={"name": "acme"})
    body["auth"]["scope"] = {"project": {"id": world.ids["projects"]["globex"]["project_id"]}}

    assert (await world.http.post("/v3/auth/tokens", json=body)).status_code == 401


async def test_a_token_without_a_project_opens_no_project(world: World, acme: Tenant):
    body = login(name="acme-admin", password="acme-password", domain={"name": "acme"})
    answer = await world.http.post("/v3/auth/tokens", json=body)
    unscoped = Tenant(world.http, acme.project_id, acme.domain_id, answer.headers["X-Subject-Token"])

    assert await unscoped.refused("GET", "vpc-endpoints") == (403, "EndPoint.0004")


async def test_discovery_and_versions_need_no_authentication(world: World):
    identity = (await world.http.get("/v3")).json()["version"]
    versions = (await world.http.get("/")).json()["versions"]
    one = (await world.http.get("/v1")).json()["version"]
    missing = await world.http.get("/v7")

    assert identity["links"] == [{"rel": "self", "href": f"{PUBLIC_URL}/v3/"}]
    assert identity["status"] == "stable"
    assert versions == [one]
    assert one["id"] == "v1"
    assert one["status"] == "CURRENT"
    assert one["updated"] == "2018-09-30T00:00:00Z"
    assert one["links"][0]["href"] == f"{PUBLIC_URL}/v1"
    assert (missing.status_code, missing.json()["error_code"]) == (404, "EndPoint.0005")


async def test_no_answer_and_no_log_shows_a_secret(world: World, acme: Tenant, capsys: pytest.CaptureFixture[str]):
    await world.http.post("/v3/auth/tokens", json=login(name="acme-admin", password="sEcret1", domain={"name": "acme"}))
    path = f"/v1/{acme.project_id}/vpc-endpoints"
    headers = signed("GET", path, "ACMEKEY", "sEcret2", acme.project_id)

    refused = await world.http.get(path, headers=headers)

    printed = "".join(capsys.readouterr())
    for secret in ("sEcret1", "sEcret2", "acme-secret-key", "acme-password", acme.token):
        assert secret not in printed
        assert secret not in refused.text
