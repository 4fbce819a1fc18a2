"""Every check of contract section 6 is answered with its status and code, and so is what no operation serves.

The rows are in `code_table`: a rule's name, the request that breaks it and what must be there before. As every request
of the table is refused, the rows of one situation share a server.
"""

import json
import re
import shutil
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from landbridge.api.problems import PROBLEMS
from landbridge.domain.errors import UserError
from tests.integration.code_table import TABLE
from tests.integration.code_table.contract import CODES_OF_CHECKS, NOT_SENT, STATUS_OF
from tests.integration.code_table.row import Row
from tests.integration.code_table.situations import SITUATIONS, Ids, Scene
from tests.integration.conftest import Tenant, World, running

NO_REQUEST_LEADS_TO = {
    "pool-full": "32,766 transit addresses would have to be taken first",
    "connections-full": "needs a nearly full edge: the tests of capacity show it",
    "identity-unavailable": "only a Keystone can be away: the tests of that adapter show it",
    "too-many-requests": "rates are not limited here: the tests of the limits show it",
    "request-timed-out": "needs a socket: the tests of the transport show it",
    "data-plane-failure": "shown inside a failed endpoint",
    "cut-overdue": "shown inside an endpoint whose cut the data plane did not confirm",
    "traffic-unavailable": "needs a data plane that cannot be read: the tests of traffic show it",
    "database-unavailable": "needs a database that is away",
    "no-pool": "needs a database that no data plane has ever used",
}
"""Slugs without a row, and why."""

OWN_STATUSES = {
    "method-not-allowed": 405,
    "request-timed-out": 408,
    "identity-unavailable": 503,
    "traffic-unavailable": 503,
    "database-unavailable": 503,
    "no-pool": 503,
}
"""Where HTTP has a status of its own and section 7 has none for the code."""

UNKNOWN = "00000000-0000-4000-8000-000000000000"
LATER_OPERATIONS = [
    f"/v2/{{project}}/vpc-endpoint-services/{UNKNOWN}/add-server-resources",
    f"/v2/{{project}}/vpc-endpoint-services/{UNKNOWN}/upgrade",
    f"/v2/{{project}}/vpc-endpoints/{UNKNOWN}/upgrade",
]
"""Operations 31 to 33."""


@dataclass(frozen=True)
class Stage:
    """A server in which one situation has come about."""

    world: World
    tenants: dict[str, Tenant]
    ids: Ids


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, database_with_the_lab: Path
) -> AsyncIterator[Stage]:
    state = tmp_path_factory.mktemp("stage")
    shutil.copy(database_with_the_lab, state)
    async with running(state) as world:
        acme = await world.login("acme-admin", "acme-password", "acme")
        globex = await world.login("globex-admin", "globex-password", "globex")
        reader = await world.login("acme-reader", "reader-password", "acme")
        hooli = await world.login("hooli-admin", "hooli-password", "hooli")
        made = await SITUATIONS[request.param](Scene(world, acme, globex, hooli))
        tenants = {"acme": acme, "globex": globex, "reader": reader, "hooli": hooli}
        yield Stage(world, tenants, {**lab_ids(world), **made})


def lab_ids(world: World) -> Ids:
    ids: dict[str, str] = {}
    for kind, plural, field in [
        ("project", "projects", "project_id"),
        ("vpc", "vpcs", "vpc_id"),
        ("subnet", "subnets", "subnet_id"),
        ("port", "hosts", "port_id"),
        ("vip", "vips", "port_id"),
        ("routetable", "routetables", "routetable_id"),
        ("public_service", "public_services", "service_id"),
    ]:
        ids |= {f"{kind}:{name}": facts[field] for name, facts in world.ids[plural].items()}
    return ids | {"public:subnet": world.ids["public"]["subnet_id"]}


def filled(value: Any, ids: Ids) -> Any:
    """Return a value of a row with ids where names stood."""
    if isinstance(value, str):
        return re.sub(r"\{([a-z][^{}]*)\}", lambda found: ids[found[1]], value)
    if isinstance(value, dict):
        return {name: filled(inner, ids) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [filled(inner, ids) for inner in value]
    return value


async def send(stage: Stage, row: Row) -> httpx.Response:
    tenant = stage.tenants[row.who]
    ids = {**stage.ids, "now": datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")}
    path = filled(row.path, ids)
    url = path if path.startswith("/") else f"/v1/{tenant.project_id}/{path}"
    headers = {"X-Auth-Token": tenant.token} | filled(dict(row.headers), ids)
    content = row.content if row.body is None else json.dumps(filled(row.body, ids)).encode()
    sent = {name: value for name, value in headers.items() if value is not None}
    params = dict(row.params) or None
    return await stage.world.http.request(row.method, url, params=params, headers=sent, content=content)


def check_shape(answer: httpx.Response) -> None:
    """Check that an error has both documented shapes, a sentence and a request id (contract 1.3, 1.7)."""
    body = answer.json()
    code, message = body["error_code"], body["error_msg"]
    assert body == {"error": {"code": code, "message": message}, "error_code": code, "error_msg": message}
    assert len(message) > 10
    assert answer.headers["Content-Type"].partition(";")[0] == "application/json"
    check_request_id(answer)


def check_request_id(answer: httpx.Response) -> None:
    assert re.fullmatch(r"req-[0-9a-f]{32}", answer.headers["X-Request-Id"])
    assert answer.headers["x-openstack-request-id"] == answer.headers["X-Request-Id"]


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("stage", "row"), [pytest.param(row.given, row, id=row.rule) for row in TABLE], indirect=["stage"], scope="module"
)
async def test_rule(stage: Stage, row: Row):
    answer = await send(stage, row)

    assert (answer.status_code, answer.json()["error_code"]) == (row.status, row.code), answer.text
    check_shape(answer)


# The table itself


def test_each_row_has_a_name_of_its_own_and_says_what_the_wire_table_says():
    assert len({row.rule for row in TABLE}) == len(TABLE)
    for row in TABLE:
        assert PROBLEMS[row.slug] == (row.status, row.code), row.rule


def test_every_error_that_a_request_can_lead_to_has_a_row():
    slugs = {slug for slug, problem in PROBLEMS.items() if problem.code in STATUS_OF}

    assert slugs - NO_REQUEST_LEADS_TO.keys() == {row.slug for row in TABLE}


def test_every_code_that_a_check_of_the_contract_names_is_sent_or_has_a_reason_not_to_be():
    sent = {problem.code for problem in PROBLEMS.values()}

    assert CODES_OF_CHECKS - sent == NOT_SENT.keys()


def test_codes_are_those_of_the_contract_with_the_statuses_that_it_prints():
    for slug, problem in PROBLEMS.items():
        if not problem.code.startswith("VPC."):  # the VPC API has codes of its own
            assert problem.status == OWN_STATUSES.get(slug, STATUS_OF[problem.code]), slug


def test_each_slug_belongs_to_exactly_one_class_wherever_it_is_defined():
    slugs = [kind.slug for kind in all_subclasses(UserError) if "slug" in vars(kind)]

    assert sorted(slugs) == sorted(PROBLEMS)


def all_subclasses(kind: type[UserError]) -> Iterator[type[UserError]]:
    for subclass in kind.__subclasses__():
        yield subclass
        yield from all_subclasses(subclass)


# What no operation serves


@pytest.mark.parametrize("has_token", [True, False])
async def test_operations_31_to_33_are_not_there_with_and_without_a_token(acme: Tenant, has_token: bool):
    headers = {"X-Auth-Token": acme.token} if has_token else {}
    bodies = [{"server_resources": [{"resource_id": "elb"}]}, None, {"action": "start"}]
    for path, body in zip(LATER_OPERATIONS, bodies, strict=True):
        answer = await acme.http.post(path.format(project=acme.project_id), headers=headers, json=body)

        assert (answer.status_code, answer.json()["error_code"]) == (404, "EndPoint.0005")
        check_shape(answer)


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/nothing/at/all", (404, "EndPoint.0005")),
        ("GET", "/v1/{project}", (404, "EndPoint.0005")),
        ("GET", "/v1/{project}/vpc-endpoints/", (404, "EndPoint.0005")),
        ("GET", "/v1//vpc-endpoints", (404, "EndPoint.0005")),
        ("GET", "/v9", (404, "EndPoint.0005")),
        ("DELETE", "/v1/{project}/quotas", (405, "EndPoint.0002")),
        ("PATCH", "/v1/{project}/vpc-endpoints/x", (405, "EndPoint.0002")),
        ("PUT", "/", (405, "EndPoint.0002")),
    ],
)
async def test_unknown_paths_and_methods_are_refused_in_the_contracts_shape(
    acme: Tenant, method: str, path: str, expected: tuple[int, str]
):
    answer = await acme.http.request(method, path.format(project=acme.project_id), headers={"X-Auth-Token": acme.token})

    assert (answer.status_code, answer.json()["error_code"]) == expected
    check_shape(answer)


async def test_every_success_has_a_request_id_and_its_type_and_204_has_no_body(world: World, acme: Tenant):
    service = await world.available_service(acme)
    listed = await acme.call("GET", "vpc-endpoint-services")
    deleted = await acme.call("DELETE", f"vpc-endpoint-services/{service['id']}")

    for answer in (listed, deleted):
        check_request_id(answer)
    assert listed.headers["Content-Type"].partition(";")[0] == "application/json"
    assert (deleted.status_code, deleted.content) == (204, b"")
    assert listed.headers["X-Request-Id"] != deleted.headers["X-Request-Id"]
