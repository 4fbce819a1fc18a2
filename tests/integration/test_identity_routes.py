"""Identity beyond signing in: scopes, one's own projects and domain, the catalogue (contract 8.1, 8.5, 8.6)."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute

from landbridge.api.app import create_app
from landbridge.api.operations import ACTION
from landbridge.api.policy import SIGNED_IN
from landbridge.api.routes import identity
from landbridge.control.accounts import ProjectRecord
from landbridge.domain.ids import DomainId, ProjectId
from tests.integration.conftest import PUBLIC_URL, Tenant, World
from tests.integration.test_authentication import signed

SECOND = ProjectRecord(ProjectId("0d5c" + 28 * "0"), "second", DomainId("d" * 32), "partner")


def password_login(scope: Any = None) -> dict[str, Any]:
    user = {"name": "acme-admin", "password": "acme-password", "domain": {"name": "acme"}}
    identity = {"methods": ["password"], "password": {"user": user}}
    return {"auth": {"identity": identity} | ({} if scope is None else {"scope": scope})}


def token_login(token: str, scope: Any = None) -> dict[str, Any]:
    identity = {"methods": ["token"], "token": {"id": token}}
    return {"auth": {"identity": identity} | ({} if scope is None else {"scope": scope})}


async def sign_in(world: World, body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    answer = await world.http.post("/v3/auth/tokens", json=body)
    assert answer.status_code == 201, answer.text
    return answer.headers["X-Subject-Token"], answer.json()["token"]


async def admit_to_a_second_project(world: World) -> None:
    """Give acme's admin a role in a project of another domain."""
    (admin,) = await world.store.read(lambda tx: tx.users_named("acme-admin"))
    guest = replace(admin, roles={**admin.roles, SECOND.id: frozenset({"reader"})})
    await world.store.write(lambda tx: (tx.put_project(SECOND), tx.put_user(guest)))


@dataclass
class Asker:
    """Somebody who asks identity, by a token or by signing."""

    world: World
    token: str | None
    project_id: str = ""

    async def send(self, path: str) -> httpx.Response:
        if self.token is not None:
            return await self.world.http.get(path, headers={"X-Auth-Token": self.token})
        headers = signed("GET", path, "ACMEKEY", "acme-secret-key", self.project_id)
        return await self.world.http.get(path, headers=headers)

    async def get(self, path: str) -> Any:
        answer = await self.send(path)
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture(params=["project token", "domain token", "unscoped token", "signature"])
async def asker(request: pytest.FixtureRequest, world: World, acme: Tenant) -> Asker:
    """Acme's admin, in every way to ask."""
    scopes = {"domain token": {"domain": {"name": "acme"}}, "unscoped token": "unscoped"}
    if request.param == "signature":
        return Asker(world, None)
    if request.param == "project token":
        return Asker(world, acme.token)
    token, _ = await sign_in(world, token_login(acme.token, scopes[request.param]))
    return Asker(world, token)


@pytest.mark.parametrize("scope", ["unscoped", {"unscoped": {}}, None], ids=repr)
async def test_an_unscoped_token_says_who_and_nothing_else(world: World, acme: Tenant, scope: Any):
    token, facts = await sign_in(world, password_login(scope))

    assert facts["user"]["domain"] == {"id": acme.domain_id, "name": "acme"}
    assert not facts.keys() & {"project", "domain", "roles", "catalog", "is_domain"}
    unscoped = Tenant(world.http, acme.project_id, acme.domain_id, token)
    assert await unscoped.refused("GET", "vpc-endpoints") == (403, "EndPoint.0004")


@pytest.mark.parametrize("key", ["id", "name"])
async def test_a_domain_scoped_token_has_the_domain_and_opens_no_project(world: World, acme: Tenant, key: str):
    domain = {"id": acme.domain_id, "name": "acme"}

    token, facts = await sign_in(world, password_login({"domain": {key: domain[key]}}))

    assert facts["domain"] == domain
    assert "project" not in facts
    assert [service["type"] for service in facts["catalog"]] == ["identity"]
    scoped = Tenant(world.http, acme.project_id, acme.domain_id, token)
    assert await scoped.refused("GET", "vpc-endpoints") == (403, "EndPoint.0004")


async def test_a_guests_token_names_the_projects_domain_and_the_users_own(world: World, acme: Tenant):
    await admit_to_a_second_project(world)

    _, facts = await sign_in(world, password_login({"project": {"id": SECOND.id}}))

    assert facts["user"]["domain"] == {"id": acme.domain_id, "name": "acme"}
    assert facts["project"] == {
        "id": SECOND.id,
        "name": "second",
        "domain": {"id": SECOND.domain_id, "name": "partner"},
    }
    assert [role["name"] for role in facts["roles"]] == ["reader"]


async def test_a_token_is_exchanged_for_one_of_a_project_and_lives_no_longer(world: World, acme: Tenant):
    unscoped, before = await sign_in(world, password_login())

    token, facts = await sign_in(world, token_login(unscoped, {"project": {"id": acme.project_id}}))

    assert set(facts["methods"]) == {"password", "token"}
    assert facts["expires_at"] == before["expires_at"]
    scoped = Tenant(world.http, acme.project_id, acme.domain_id, token)
    assert (await scoped.get("vpc-endpoints"))["total_count"] == 0


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (token_login("nonsense"), 401),
        (token_login(""), 401),
        ({"auth": {"identity": {"methods": ["token"]}}}, 401),
        ({"auth": {"identity": {"methods": ["token", "password"], "token": {"id": "x"}}}}, 401),
        ({"auth": {"identity": {"methods": ["assume_role"], "assume_role": {}}}}, 401),
        (password_login({"project": {"name": "acme"}, "domain": {"name": "acme"}}), 400),
        (password_login({"project": {}}), 400),
        (password_login({"domain": {}}), 400),
        (password_login("system"), 400),
        (password_login({"domain": {"name": "globex"}}), 401),
        (password_login({"project": {"name": "globex", "domain": {"name": "globex"}}}), 401),
    ],
)
async def test_a_wish_that_is_malformed_or_too_much_is_refused_as_keystone_does(world: World, body: Any, status: int):
    answer = await world.http.post("/v3/auth/tokens", json=body)

    assert answer.status_code == status
    assert answer.json()["error"]["code"] == status
    assert answer.json()["error"]["message"]


async def test_a_removed_users_token_is_not_exchanged(world: World):
    token, _ = await sign_in(world, password_login())
    (admin,) = await world.store.read(lambda tx: tx.users_named("acme-admin"))
    await world.store.write(lambda tx: tx.remove_user(admin.id))

    assert (await world.http.post("/v3/auth/tokens", json=token_login(token))).status_code == 401


async def test_own_projects_have_keystones_shape(asker: Asker, acme: Tenant):
    for path in ("/v3/auth/projects", "/v3/projects", "/v3/projects?name=acme", "/v3/projects?name=lab-1"):
        answer = await asker.get(path)

        assert answer["projects"] == [
            {
                "id": acme.project_id,
                "name": "acme",
                "domain_id": acme.domain_id,
                "parent_id": acme.domain_id,
                "description": "",
                "enabled": True,
                "is_domain": False,
                "links": {"self": f"{PUBLIC_URL}/v3/projects/{acme.project_id}"},
            }
        ]
        assert answer["links"] == {"self": f"{PUBLIC_URL}{path.partition('?')[0]}", "previous": None, "next": None}
    assert (await asker.get(f"/v3/projects/{acme.project_id}"))["project"] == answer["projects"][0]


async def test_other_peoples_projects_domains_and_users_are_not_there(asker: Asker, globex: Tenant):
    for path in (
        "/v3/projects?name=globex",
        "/v3/projects?name=nowhere",
        f"/v3/projects?domain_id={globex.domain_id}",
        "/v3/auth/domains?name=globex",
        "/v3/users?name=globex-admin",
    ):
        (found,) = (value for value in (await asker.get(path)).values() if isinstance(value, list))
        assert found == [], path
    for project_id in (globex.project_id, "nowhere"):
        answer = await asker.send(f"/v3/projects/{project_id}")
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, 404)


async def test_the_own_domain_and_user_have_keystones_shape(asker: Asker, acme: Tenant, world: World):
    for path in ("/v3/auth/domains", "/v3/auth/domains?name=acme"):
        assert (await asker.get(path))["domains"] == [
            {
                "id": acme.domain_id,
                "name": "acme",
                "description": "",
                "enabled": True,
                "links": {"self": f"{PUBLIC_URL}/v3/domains/{acme.domain_id}"},
            }
        ]
    for path in ("/v3/users", "/v3/users?name=acme-admin"):
        (user,) = (await asker.get(path))["users"]
        assert user["id"] == world.ids["projects"]["acme"]["users"]["acme-admin"]["user_id"]
        assert (user["name"], user["domain_id"], user["enabled"]) == ("acme-admin", acme.domain_id, True)


async def test_the_catalogue_names_what_the_asker_can_reach(asker: Asker, acme: Tenant):
    services = {one["type"]: one["endpoints"] for one in (await asker.get("/v3/auth/catalog"))["catalog"]}

    has_project = asker.token in {None, acme.token}
    assert services.keys() == ({"identity", "vpcep", "vpc"} if has_project else {"identity"})
    for type_, ((endpoint,)) in services.items():
        path = "/v3" if type_ == "identity" else f"/v1/{acme.project_id}"
        assert endpoint["url"] == f"{PUBLIC_URL}{path}"
        assert (endpoint["interface"], endpoint["region"], endpoint["region_id"]) == ("public", "lab-1", "lab-1")


async def test_the_regions_name_finds_nothing_when_there_are_several_projects(world: World):
    await admit_to_a_second_project(world)

    asker = Asker(world, None)

    assert (await asker.get("/v3/projects?name=lab-1"))["projects"] == []
    names = [project["name"] for project in (await asker.get("/v3/auth/projects"))["projects"]]
    assert names == ["acme", "second"]


async def test_a_project_that_has_the_regions_name_is_what_that_name_finds(world: World):
    await admit_to_a_second_project(world)
    await world.store.write(lambda tx: tx.put_project(replace(SECOND, name="lab-1")))

    (project,) = (await Asker(world, None).get("/v3/projects?name=lab-1"))["projects"]

    assert project["id"] == SECOND.id


async def test_a_signer_with_several_projects_says_which_catalogue(world: World, globex: Tenant):
    await admit_to_a_second_project(world)

    async def vpcep_urls(project_id: str) -> list[str]:
        catalogue = (await Asker(world, None, project_id).get("/v3/auth/catalog"))["catalog"]
        return [one["endpoints"][0]["url"] for one in catalogue if one["type"] == "vpcep"]

    assert await vpcep_urls(SECOND.id) == [f"{PUBLIC_URL}/v1/{SECOND.id}"]
    assert await vpcep_urls("") == []
    foreign = await Asker(world, None, globex.project_id).send("/v3/auth/catalog")
    assert foreign.status_code == 403


ASKED = ["auth/tokens", "auth/projects", "auth/domains", "auth/catalog", "projects", "projects/x", "users"]


@pytest.mark.parametrize("path", ASKED)
@pytest.mark.parametrize("headers", [{}, {"X-Auth-Token": "nonsense"}, {"Authorization": "Basic YTpi"}], ids=repr)
async def test_whoever_proves_nothing_is_told_nothing(world: World, path: str, headers: dict[str, str]):
    answer = await world.http.get(f"/v3/{path}", headers=headers)

    assert answer.status_code == 401
    assert answer.json()["error"]["title"] == "Unauthorized"


async def test_a_user_may_not_look_into_anothers_token(world: World, acme: Tenant, globex: Tenant):
    headers = {"X-Auth-Token": acme.token, "X-Subject-Token": globex.token}

    assert (await world.http.get("/v3/auth/tokens", headers=headers)).status_code == 403
    assert (await world.http.get("/v3/auth/tokens", headers={"X-Auth-Token": acme.token})).status_code == 400


@pytest.mark.parametrize("path", ["", "/", *(f"/{path}" for path in ASKED), "/nowhere"])
async def test_where_identity_is_somebody_elses_nothing_of_it_is_here(world: World, acme: Tenant, path: str):
    app = create_app(replace(world.parts.api, issuer=None), world.telemetry)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url=PUBLIC_URL) as http:
        methods = ("GET", "POST") if path == "/auth/tokens" else ("GET",)
        for method in methods:
            answer = await http.request(method, f"/v3{path}", headers={"X-Auth-Token": acme.token})

            assert answer.status_code == 404
            assert answer.json()["error"]["title"] == "Not Found"
        still_there = await http.get(f"/v1/{acme.project_id}/vpc-endpoints", headers={"X-Auth-Token": acme.token})
        assert still_there.status_code == 200


async def test_moments_are_written_with_microseconds_and_a_z(world: World):
    _, facts = await sign_in(world, password_login())

    for name in ("issued_at", "expires_at"):
        assert facts[name].endswith("Z")
        assert datetime.fromisoformat(facts[name]).strftime("%Y-%m-%dT%H:%M:%S.%fZ") == facts[name]


def test_every_route_that_answers_whoever_signed_in_is_asked_above():
    extras = (
        (route.path, route.openapi_extra or {}) for route in identity.router.routes if isinstance(route, APIRoute)
    )
    paths = {path for path, extra in extras if extra[ACTION] == SIGNED_IN}

    assert paths == {f"/v3/{path}".replace("/x", "/{project_id}") for path in ASKED}
