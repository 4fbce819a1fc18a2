"""What belongs to another project is as absent as what never was, in every path, body and filter."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from landbridge.api.app import routed_app
from landbridge.api.openapi import describe
from tests.integration.conftest import Tenant
from tests.integration.estates import IN_A_PROJECT, Estate, estate, everything

ABSENT_ID = "00000000-0000-4000-8000-000000000000"
DOCUMENT = describe(routed_app())


@pytest.fixture
async def ours(acme: Tenant) -> Estate:
    return await estate(acme, "Ourpumpkin")


@pytest.fixture
async def theirs(globex: Tenant) -> Estate:
    return await estate(globex, "Theirwalnut")


NEW_ROUTE = {"destination": "172.16.0.0/16", "type": "ecs", "nexthop": "n"}
BODIES: dict[str, Any] = {
    "modify_service": {"description": "x"},
    "rename_service": {"endpoint_service_name": "x"},
    "accept_or_reject": {"action": "receive", "endpoints": ["{endpoint_id}"]},
    "describe_connections": {"connections": [{"id": "{endpoint_id}", "description": "x"}]},
    "add_or_remove_permissions": {"action": "add", "permissions": ["*"]},
    "create_permissions": {"permissions": [{"permission": "*", "description": "x"}]},
    "delete_permissions": {"permissions": [{"id": "{permission_id}"}]},
    "describe_permission": {"permission": {"description": "x"}},
    "change_endpoint_access": {"whitelist": ["10.0.0.0/24"], "enable_whitelist": True},
    "set_endpoint_policy": {"policy_document": {"Version": "1"}},
    "change_endpoint_route_tables": {"routetables": ["{routetable_id}"]},
    "trace_endpoint": {"from": "10.0.0.10"},
    "choose_cut_offs": {"on_reject": {"mode": "keep"}},
    "create_or_delete_tags": {"action": "create", "tags": [{"key": "k", "value": "v"}]},
    "update_vpc": {"vpc": {"name": "x"}},
    "update_subnet": {"subnet": {"name": "x"}},
    "update_port": {"port": {"name": "x"}},
    "update_route_table": {"routetable": {"name": "x", "routes": {"add": [NEW_ROUTE]}}},
    "associate_route_table": {"routetable": {"subnets": {"associate": ["{subnet_id}"]}}},
}
"""A good body for each operation on something that the path names; `{…}` stands for an id."""


@dataclass(frozen=True)
class Question:
    """A request in the project of the asker. `{…}` stands for the id that is foreign, or absent; `<…>` for an own."""

    method: str
    path: str
    body: Any = None

    def __str__(self) -> str:
        return f"{self.method} {self.path} {json.dumps(self.body) if self.body is not None else ''}"

    async def ask(self, own: Estate, ids: dict[str, str]) -> httpx.Response:
        def filled(text: str) -> str:
            text = re.sub(r"<(\w+)>", lambda found: own.ids[found[1]], text)
            return re.sub(r"\{(\w+_id)\}", lambda found: ids[found[1]], text)

        body = None if self.body is None else json.loads(filled(json.dumps(self.body)))
        return await own.tenant.call(self.method, filled(self.path), body)


def questions_by_path() -> Iterator[Question]:
    """Yield each operation whose path names something; with two names, also with an own thing as the first."""
    for template, methods in DOCUMENT["paths"].items():
        names = re.findall(r"\{(\w+)\}", template.removeprefix(IN_A_PROJECT))
        if not template.startswith(IN_A_PROJECT) or not any(name.endswith("_id") for name in names):
            continue
        if template.startswith(f"{IN_A_PROJECT}ext/public-services"):
            continue  # the operator's alone: tenants are refused before anything is looked up
        below = template.removeprefix(IN_A_PROJECT).replace("{resource_type}", "endpoint")
        for method, operation in methods.items():
            # A new operation with a body needs one here, or it would be refused before any id is looked up.
            body = BODIES[operation["operationId"]] if "requestBody" in operation else None
            yield Question(method.upper(), below, body)
            ids = re.findall(r"\{\w+_id\}", below)
            if len(ids) > 1:
                yield Question(method.upper(), below.replace(ids[0], f"<{ids[0][1:-1]}>"), body)


SERVICE = {"port_id": "<port_id>", "vpc_id": "<vpc_id>", "server_type": "VM"}
SERVICE["ports"] = [{"client_port": 81, "server_port": 81}]  # pyright: ignore[reportArgumentType]
ENDPOINT = {"endpoint_service_id": "<service_id>", "vpc_id": "<vpc_id>", "subnet_id": "<subnet_id>"}
IN_BODIES = [
    Question("POST", "vpc-endpoint-services", SERVICE | {"port_id": "{port_id}"}),
    Question("POST", "vpc-endpoint-services", SERVICE | {"vpc_id": "{vpc_id}"}),
    Question("POST", "vpc-endpoint-services", SERVICE | {"server_type": "VIP", "vip_port_id": "{port_id}"}),
    Question("PUT", "vpc-endpoint-services/<service_id>", {"port_id": "{port_id}"}),
    Question("POST", "vpc-endpoints", ENDPOINT | {"vpc_id": "{vpc_id}"}),
    Question("POST", "vpc-endpoints", ENDPOINT | {"subnet_id": "{subnet_id}"}),
    Question("POST", "vpc-endpoints", ENDPOINT | {"vpc_id": "{vpc_id}", "subnet_id": "{subnet_id}"}),
    *(
        Question(method, f"vpc-endpoint-services/<service_id>/{path}", BODIES[name])
        for method, path, name in [
            ("POST", "connections/action", "accept_or_reject"),
            ("PUT", "connections/description", "describe_connections"),
            ("POST", "permissions/batch-delete", "delete_permissions"),
        ]
    ),
    Question("POST", "subnets", {"subnet": {"vpc_id": "{vpc_id}", "name": "s", "cidr": "10.0.7.0/24"}}),
    Question("POST", "ports", {"port": {"network_id": "{subnet_id}"}}),
    Question("POST", "routetables", {"routetable": {"vpc_id": "{vpc_id}", "name": "t"}}),
    *(
        Question("POST", "routetables/<routetable_id>/action", {"routetable": {"subnets": {verb: ["{subnet_id}"]}}})
        for verb in ("associate", "disassociate")
    ),
]
IN_FILTERS = [
    *(
        Question("GET", f"{path}?{name}={{{id_}}}")
        for path, name, id_ in [
            ("vpc-endpoint-services", "id", "service_id"),
            ("vpc-endpoint-services/<service_id>/connections", "id", "endpoint_id"),
            ("vpc-endpoints", "id", "endpoint_id"),
            ("vpc-endpoints", "vpc_id", "vpc_id"),
            ("vpcs", "id", "vpc_id"),
            ("subnets", "vpc_id", "vpc_id"),
            ("ports", "id", "port_id"),
            ("ports", "network_id", "subnet_id"),
            ("routetables", "id", "routetable_id"),
            ("routetables", "vpc_id", "vpc_id"),
            ("routetables", "subnet_id", "subnet_id"),
        ]
    ),
    *(
        Question(
            "POST",
            f"{kind}/resource_instances/action",
            {"action": "filter", "matches": [{"key": "resource_name", "value": id_}]},
        )
        for kind, id_ in [("endpoint", "{endpoint_id}"), ("endpoint_service", "{service_id}")]
    ),
]
NEVER_LOOKED_UP = [
    # No interface endpoint has route tables, and no tenant's service is a public one.
    Question("PUT", "vpc-endpoints/<endpoint_id>/routetables", {"routetables": ["{routetable_id}"]}),
    Question("GET", "vpc-endpoint-services/public?id={service_id}"),
    Question("DELETE", "ext/public-services/{service_id}"),
]
REFUSED = [*questions_by_path(), *IN_BODIES]
QUESTIONS = [*REFUSED, *IN_FILTERS, *NEVER_LOOKED_UP]


async def test_a_foreign_id_is_answered_as_an_absent_one(ours: Estate, theirs: Estate):
    told_apart: dict[str, Any] = {}
    for question in QUESTIONS:
        foreign = shape(await question.ask(ours, theirs.ids), set(theirs.ids.values()))
        absent = shape(await question.ask(ours, dict.fromkeys(theirs.ids, ABSENT_ID)), {ABSENT_ID})
        if foreign != absent:
            told_apart[str(question)] = foreign, absent

    assert told_apart == {}


async def test_an_absent_id_is_what_a_request_is_refused_for(ours: Estate):
    for question in REFUSED:
        answer = await question.ask(ours, dict.fromkeys(ours.ids, ABSENT_ID))

        assert 400 <= answer.status_code < 500, question
        assert ABSENT_ID in answer.text, f"{question} is refused for something else: {answer.text}"


async def test_an_own_id_is_answered_otherwise_than_an_absent_one(ours: Estate):
    alike: list[str] = []
    # Each once, though it may ask for one of its ids or for another; deletions last, what belongs to a thing first.
    different = {str(question).translate(str.maketrans("<>", "{}")): question for question in [*REFUSED, *IN_FILTERS]}
    for question in sorted(different.values(), key=lambda asked: (asked.method == "DELETE", -len(asked.path))):
        own = await question.ask(ours, ours.ids)
        absent = await question.ask(ours, dict.fromkeys(ours.ids, ABSENT_ID))
        if shape(own, set(ours.ids.values())) == shape(absent, {ABSENT_ID}):
            alike.append(str(question))

    assert alike == []


async def test_what_is_asked_about_foreign_ids_changes_nothing_of_theirs(ours: Estate, theirs: Estate):
    before = await everything(theirs)

    for question in QUESTIONS:
        await question.ask(ours, theirs.ids)

    assert await everything(theirs) == before


def shape(answer: httpx.Response, ids: set[str]) -> tuple[int, dict[str, str], str]:
    """Return status, headers and body of an answer without what names the request or the id that was asked for."""
    headers = {name: value for name, value in answer.headers.items() if not name.endswith("request-id")}
    headers.pop("content-length", None)
    return answer.status_code, headers, re.sub("|".join(ids), "ID", answer.text)


async def test_no_list_and_no_search_shows_what_belongs_to_another_project(ours: Estate, theirs: Estate):
    for own, foreign in ((ours, theirs), (theirs, ours)):
        shown = await everything(own)

        seen = {look: [mark for mark in foreign.marks if mark in text] for look, text in shown.items()}
        assert {look: marks for look, marks in seen.items() if marks} == {}
        for id_ in own.ids.values():
            assert any(id_ in text for text in shown.values()), "the search would not have found anything"


async def test_filters_and_searches_by_foreign_names_and_tags_find_nothing(ours: Estate, theirs: Estate):
    name = theirs.names[0]
    tags = [{"key": f"{name}-key", "values": [f"{name}-value"]}]
    asked = [
        await ours.tenant.get("vpc-endpoint-services", endpoint_service_name=name),
        await ours.tenant.get("vpc-endpoint-services/public", endpoint_service_name=name),
        await ours.tenant.get("vpc-endpoints", endpoint_service_name=name),
        *[
            await ours.tenant.post(f"{kind}/resource_instances/action", {"action": "filter"} | {wanted: tags})
            for kind in ("endpoint", "endpoint_service")
            for wanted in ("tags", "tags_any")
        ],
    ]

    assert [answer["total_count"] for answer in asked] == [0] * len(asked)
    assert (await ours.tenant.get("ports", name=f"{name}-port"))["ports"] == []
