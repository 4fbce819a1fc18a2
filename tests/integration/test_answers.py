"""What holds every answer of these tests against the OpenAPI document finds what is wrong with one.

The fixture `world` sends through `DescribedTransport`, so each test of the API is also one of its description.
"""

from typing import Any

import httpx
import pytest

from tests.integration.conftest import Tenant, World
from tests.integration.described import DescribedTransport, description

PROJECT = "0d5c0000000000000000000000000001"
QUOTAS = f"/v1/{PROJECT}/quotas"
REQUEST_ID = "req-" + 32 * "0"
IDS = {"X-Request-Id": REQUEST_ID, "X-Openstack-Request-Id": REQUEST_ID}
GOOD = {"quotas": {"resources": [{"type": "endpoint", "used": 1, "quota": 50}]}}
REFUSED = {"error": {"code": "EndPoint.0002", "message": "m"}, "error_code": "EndPoint.0002", "error_msg": "m"}
OF_VPC_API = REFUSED | {"code": "EndPoint.0002", "message": "m"}


def complaints(
    body: Any, status: int = 200, path: str = QUOTAS, method: str = "GET", headers: dict[str, str] = IDS
) -> list[str]:
    return list(description().complaints(method, path, httpx.Response(status, json=body, headers=headers)))


def test_an_answer_as_described_is_let_through():
    assert complaints(GOOD) == []
    assert complaints(REFUSED, 400) == []
    assert complaints(REFUSED, 404, "/nothing/of/ours") == []
    assert complaints(REFUSED, 405, method="PATCH") == []
    assert complaints(OF_VPC_API, 405, f"/v1/{PROJECT}/vpcs", "PATCH") == []


@pytest.mark.parametrize(
    ("body", "changes"),
    [
        ({"quotas": {"resources": [{"type": "endpoint", "used": "1", "quota": 50}]}}, {}),
        ({"quotas": {"resources": [{"type": "endpoint", "used": 1}]}}, {}),
        ({"quotas": {"resources": [{"type": "vpc", "used": 1, "quota": 50}]}}, {}),
        (GOOD | {"more": 1}, {}),
        ({"error": {"code": "x", "message": ""}}, {"status": 400}),
        (GOOD, {"status": 202}),
        (REFUSED, {"status": 409}),
        (REFUSED, {"status": 400, "path": f"/v1/{PROJECT}/vpcs"}),
        (REFUSED, {"status": 200, "path": "/nothing/of/ours"}),
        (GOOD, {"headers": {"X-Request-Id": REQUEST_ID}}),
        (GOOD, {"headers": IDS | {"X-Request-Id": "7"}}),
        (GOOD, {"headers": IDS | {"Content-Type": "text/plain"}}),
        (REFUSED, {"status": 400, "headers": IDS | {"Retry-After": "soon"}}),
        (GOOD, {"status": 204, "method": "DELETE", "path": f"/v1/{PROJECT}/vpcs/x"}),
    ],
)
def test_an_answer_that_is_not_as_described_is_found(body: Any, changes: dict[str, Any]):
    assert complaints(body, **changes) != []


async def test_the_tests_of_the_api_cannot_miss_such_an_answer(world: World, acme: Tenant):
    async def wrong(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json=GOOD | {"more": 1}, headers=IDS, request=request)

    async with httpx.AsyncClient(transport=DescribedTransport(httpx.MockTransport(wrong))) as http:
        with pytest.raises(AssertionError, match="more"):
            await http.get(f"http://vpcep.test{QUOTAS}")

    assert isinstance(world.http._transport, DescribedTransport)
    assert (await acme.get("quotas"))["quotas"]["resources"]
