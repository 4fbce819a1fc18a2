"""Every route says in one place who may use it, in the words of the contract (sections 2 and 11)."""

import re
from pathlib import Path

import pytest

from landbridge.api.app import routed_app
from landbridge.api.openapi import operations_of
from landbridge.api.policy import ADMIN, MEMBER, OPERATOR, POLICY, PUBLIC, READER, SIGNED_IN, allows

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "policy.md"
IN_A_PROJECT = re.compile(r"/v1/\{project_id\}/")

PUBLIC_ROUTES = {
    "GET /",
    "GET /{version}",
    "GET /healthz",
    "GET /readyz",
    "GET /openapi.json",
    "GET /docs",
    "GET /docs/{file}",
    "GET /v3",
    "GET /v3/",
    "POST /v3/auth/tokens",
}
SERVICES, ENDPOINTS = "/v1/{project_id}/vpc-endpoint-services", "/v1/{project_id}/vpc-endpoints"
ACTIONS = {
    f"POST {SERVICES}": "vpcep:epservices:create",
    f"GET {SERVICES}": "vpcep:epservices:list",
    f"GET {SERVICES}/{{service_id}}": "vpcep:epservices:get",
    f"PUT {SERVICES}/{{service_id}}": "vpcep:epservices:update",
    f"DELETE {SERVICES}/{{service_id}}": "vpcep:epservices:delete",
    f"GET {SERVICES}/public": "vpcep:pubEpservices:list",
    f"GET {SERVICES}/describe": "vpcep:epserviceDesc:get",
    f"GET {SERVICES}/{{service_id}}/connections": "vpcep:connections:list",
    f"POST {SERVICES}/{{service_id}}/connections/action": "vpcep:connections:update",
    f"PUT {SERVICES}/{{service_id}}/connections/description": "vpcep:connections:update",
    f"GET {SERVICES}/{{service_id}}/permissions": "vpcep:permissions:list",
    f"POST {SERVICES}/{{service_id}}/permissions/action": "vpcep:permissions:update",
    f"POST {SERVICES}/{{service_id}}/permissions/batch-create": "vpcep:permissions:update",
    f"POST {SERVICES}/{{service_id}}/permissions/batch-delete": "vpcep:permissions:update",
    f"PUT {SERVICES}/{{service_id}}/permissions/{{permission_id}}": "vpcep:permissions:update",
    f"PUT {SERVICES}/{{service_id}}/name": "vpcep:epservices:update",
    f"POST {ENDPOINTS}": "vpcep:endpoints:create",
    f"GET {ENDPOINTS}": "vpcep:endpoints:list",
    f"GET {ENDPOINTS}/{{endpoint_id}}": "vpcep:endpoints:get",
    f"PUT {ENDPOINTS}/{{endpoint_id}}": "vpcep:endpoints:update",
    f"DELETE {ENDPOINTS}/{{endpoint_id}}": "vpcep:endpoints:delete",
    f"PUT {ENDPOINTS}/{{endpoint_id}}/policy": "vpcep:endpoints:update",
    f"DELETE {ENDPOINTS}/{{endpoint_id}}/policy": "vpcep:endpoints:update",
    f"PUT {ENDPOINTS}/{{endpoint_id}}/routetables": "vpcep:endpoints:update",
    "GET /v1/{project_id}/quotas": "vpcep:quotas:get",
    "GET /v1/{project_id}/{resource_type}/tags": "vpcep:tags:list",
    "POST /v1/{project_id}/{resource_type}/{resource_id}/tags/action": "vpcep:tags:update",
    "POST /v1/{project_id}/{resource_type}/resource_instances/action": "vpcep:resource:list",
}
"""Operations 3 to 30 of the contract, with the action that section 11 gives them."""

ROUTES = {f"{method} {path}": action for method, path, action in operations_of(routed_app())}


def test_every_route_names_an_action_that_the_policy_knows():
    known = POLICY.keys() | {PUBLIC, SIGNED_IN}

    assert {route: action for route, action in ROUTES.items() if action not in known} == {}


def test_nobody_needs_to_prove_who_they_are_on_these_routes_and_no_others():
    assert {route for route, action in ROUTES.items() if action == PUBLIC} == PUBLIC_ROUTES


def test_whoever_is_signed_in_may_ask_about_themselves_only_below_v3():
    assert {route.split()[0] for route, action in ROUTES.items() if action == SIGNED_IN} == {"GET"}
    assert all(" /v3/" in route for route, action in ROUTES.items() if action == SIGNED_IN)


def test_every_route_in_a_project_names_an_action_of_the_policy():
    in_projects = {route: action for route, action in ROUTES.items() if IN_A_PROJECT.search(route)}

    assert in_projects
    assert set(in_projects.values()) <= POLICY.keys()


def test_every_action_of_the_policy_is_used_by_a_route():
    assert POLICY.keys() - set(ROUTES.values()) == set()


def test_the_actions_are_those_of_the_contract():
    vpcep = {
        route: action
        for route, action in ROUTES.items()
        if action is not None and action.startswith("vpcep:") and not action.startswith("vpcep:ext:")
    }

    assert vpcep == ACTIONS


@pytest.mark.parametrize("action", POLICY)
def test_a_reader_may_look_and_everybody_else_may_change(action: str):
    verb = action.rpartition(":")[2]
    if action.startswith("vpcep:ext:publicServices:"):
        # What is offered to everybody is the operator's alone.
        assert POLICY[action] == {OPERATOR}
        return

    assert allows(action, {READER}) is (verb in {"list", "get"})
    for role in (MEMBER, ADMIN, OPERATOR):
        assert allows(action, {role})


def test_an_unknown_action_or_role_allows_nothing():
    assert not allows("vpcep:everything", {ADMIN})
    assert not allows("vpcep:epservices:list", {"stranger"})
    assert not allows("vpcep:epservices:list", set())


def test_the_policy_page_names_every_action_with_its_routes_and_roles():
    rows = re.findall(r"^\| `(\S+:\S+:\S+)` \| (.+) \| (.+) \|$", PAGE.read_text(), re.MULTILINE)

    documented = {action: (set(re.findall(r"(\w+) `(\S+)`", routes)), roles) for action, routes, roles in rows}
    assert documented == {
        action: (
            {
                tuple(route.replace("/v1/{project_id}", "").split())
                for route, named in ROUTES.items()
                if named == action
            },
            "all" if READER in roles else "`operator`" if roles == {OPERATOR} else "all but `reader`",
        )
        for action, roles in POLICY.items()
    }
