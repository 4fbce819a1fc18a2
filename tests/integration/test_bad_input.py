"""Whatever a client sends gets a clear error in the contract's shape, never a 500."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.integration.conftest import Tenant, World

MALFORMED = [
    b"",
    b"   ",
    b"{",
    b"[]",
    b'"text"',
    b"null",
    b"{'port_id': 1}",
    b'{"a": NaN}',
    b'{"a": 1e999}',
    b'{"a": Infinity}',
    b"\xff\xfe{}",
    b'{"a": "\xff"}',
    b'{"description": "\\ud800"}',
    b'{"description": "\\u0000"}',
    b'{"\\u0000": 1}',
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b'{"a": 1} trailing',
]


@pytest.mark.parametrize("content", MALFORMED, ids=range(len(MALFORMED)))
@pytest.mark.parametrize("path", ["vpc-endpoint-services", "vpc-endpoints"])
async def test_a_body_that_is_no_json_object_is_malformed(acme: Tenant, path: str, content: bytes):
    status, code = await acme.refused("POST", path, content=content)

    assert status == 400
    assert code in {"EndPoint.1004", "EndPoint.3063", "EndPoint.2029", "EndPoint.0002"}


async def test_a_body_above_one_mebibyte_is_refused_unread(world: World, acme: Tenant):
    body = world.service_body(padding="x" * (1024 * 1024))
    path = f"/v1/{acme.project_id}/vpc-endpoint-services"
    sent = 0

    async def endless():
        nonlocal sent
        yield b'{"a": "'
        while sent < 64 * 1024 * 1024:
            sent += 65536
            yield b"x" * 65536

    assert await acme.refused("POST", "vpc-endpoint-services", body) == (400, "EndPoint.1004")
    answer = await world.http.post(path, headers={"X-Auth-Token": acme.token}, content=endless())
    assert (answer.status_code, answer.headers["Connection"]) == (400, "close")
    assert sent <= 2 * 1024 * 1024
    fitting = world.service_body(padding="x" * (1000 * 1024))
    assert (await acme.call("POST", "vpc-endpoint-services", fitting)).status_code == 200


@pytest.mark.parametrize(
    ("identity", "limit"),
    [
        ({"methods": [0] * 300_000}, "2000 entries"),
        ({"methods": [{}] * 2001}, "2000 entries"),
        ({"methods": [[0] * 1000 for _ in range(200)]}, "20000 values"),
        ({str(number): 0 for number in range(80_000)}, "20000 values"),
    ],
    ids=["long", "a-bit-long", "lists", "members"],
)
async def test_a_body_of_too_many_values_is_refused_before_each_of_them_is_found_wrong(
    world: World, identity: dict, limit: str
):
    content = json.dumps({"auth": {"identity": identity}}, separators=(",", ":")).encode()
    assert len(content) < 1024 * 1024

    answer = await world.http.post("/v3/auth/tokens", content=content)

    assert answer.status_code == 400
    assert f"more than {limit}" in answer.json()["error"]["message"]


async def test_a_policy_that_is_as_large_as_it_may_be_is_taken(world: World, acme: Tenant, globex: Tenant):
    service = await world.available_service(acme, enable_policy=True)
    policy = {"Statement": [[0] * 1_999 for _ in range(5)]}

    endpoint = await globex.post("vpc-endpoints", world.endpoint_body(service["id"], policy_document=policy))

    assert endpoint["policy_document"] == policy


async def test_unknown_paths_and_methods_get_the_contracts_shape(acme: Tenant):
    assert await acme.refused("GET", "nothing") == (404, "EndPoint.0005")
    assert await acme.refused("GET", "vpc-endpoints/x/y/z") == (404, "EndPoint.0005")
    assert (await acme.refused("PATCH", "vpc-endpoints"))[0] == 405


async def test_every_answer_has_a_request_id(world: World, acme: Tenant):
    answers = [await world.http.get("/"), await world.http.get("/v1/x/y"), await acme.call("GET", "vpc-endpoints")]

    ids = [answer.headers["X-Request-Id"] for answer in answers]

    assert len(set(ids)) == 3


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
FIELDS = [
    "port_id", "vpc_id", "server_type", "ports", "vip_port_id", "service_name", "service_type", "approval_enabled",
    "tcp_proxy", "description", "tags", "ip", "endpoint_service_id", "subnet_id", "port_ip", "enable_dns", "whitelist",
    "enable_whitelist", "specification_name", "policy_statement", "action", "endpoints", "permissions",
]  # fmt: skip
PATHS = [
    "vpc-endpoint-services",
    "vpc-endpoints",
    "vpc-endpoint-services/{service}/connections/action",
    "vpc-endpoint-services/{service}/permissions/action",
]


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=st.sampled_from(PATHS), field=st.sampled_from(FIELDS), value=json_values)
async def test_no_json_value_in_any_field_gives_a_fault(
    world: World, acme: Tenant, path: str, field: str, value: object
):
    services = (await acme.get("vpc-endpoint-services", limit=1))["endpoint_services"]
    service = services[0] if services else await world.available_service(acme)
    body = world.service_body() | world.endpoint_body(service["id"], subnet="acme-vpc/apps")
    body |= {"action": "add", "permissions": ["*"], "endpoints": ["e"], field: value}

    answer = await acme.call("POST", path.format(service=service["id"]), content=json.dumps(body).encode())

    assert answer.status_code in {200, 400, 403, 404}, answer.text
