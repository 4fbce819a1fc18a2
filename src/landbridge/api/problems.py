"""Give every error its HTTP status and wire code, in the one shape that all clients read.

One table maps slugs to status and code (contract sections 6 and 7; where those mark a code INF or REC it is our
decision). Several slugs may share a code. A test walks all error classes and fails if one is missing here.
"""

from collections.abc import Mapping
from typing import NamedTuple

from starlette.responses import JSONResponse

from landbridge.domain.errors import UserError
from landbridge.domain.resources import Failure


class Problem(NamedTuple):
    """HTTP status and wire code of one kind of error."""

    status: int
    code: str


INTERNAL = Problem(500, "EndPoint.0001")

PROBLEMS: Mapping[str, Problem] = {
    "unauthenticated": Problem(401, "EndPoint.0003"),
    "forbidden": Problem(403, "EndPoint.0004"),
    "identity-unavailable": Problem(503, "EndPoint.1008"),
    "traffic-unavailable": Problem(503, "EndPoint.0001"),
    "no-pool": Problem(503, "EndPoint.0001"),
    "database-unavailable": Problem(503, "EndPoint.0001"),
    "too-many-requests": Problem(400, "EndPoint.0022"),
    "service-not-found": Problem(404, "EndPoint.0005"),
    "route-not-found": Problem(404, "EndPoint.0005"),
    "permission-not-found": Problem(404, "EndPoint.0005"),
    "invalid-parameter": Problem(400, "EndPoint.0002"),
    "method-not-allowed": Problem(405, "EndPoint.0002"),
    "not-carried": Problem(400, "EndPoint.0002"),
    "invalid-cut-off": Problem(400, "EndPoint.0002"),
    "not-a-gateway-endpoint": Problem(400, "EndPoint.0002"),
    "invalid-route-table-id": Problem(400, "EndPoint.1019"),
    "route-table-taken": Problem(400, "EndPoint.2039"),
    "no-route-table": Problem(400, "EndPoint.2040"),
    "address-not-taken": Problem(400, "EndPoint.2041"),
    "whitelist-not-taken": Problem(400, "EndPoint.2044"),
    "networks-in-vpc": Problem(400, "EndPoint.3009"),
    "networks-not-allowed": Problem(400, "EndPoint.3014"),
    "port-id-not-allowed": Problem(400, "EndPoint.3015"),
    "invalid-networks": Problem(400, "EndPoint.3017"),
    "networks-conflict": Problem(400, "EndPoint.3046"),
    "public-name-taken": Problem(400, "EndPoint.3076"),
    "routes-not-added": Problem(400, "EndPoint.4028"),
    "route-table-not-found": Problem(404, "EndPoint.4030"),
    "invalid-limit": Problem(400, "EndPoint.0006"),
    "invalid-tag-action": Problem(400, "EndPoint.0007"),
    "invalid-offset": Problem(400, "EndPoint.0010"),
    "cut-overdue": Problem(504, "EndPoint.0013"),
    "invalid-project-id": Problem(400, "EndPoint.0014"),
    "invalid-specification": Problem(400, "EndPoint.0015"),
    "batch-too-long": Problem(400, "EndPoint.0016"),
    "invalid-sort-key": Problem(400, "EndPoint.0017"),
    "invalid-sort-dir": Problem(400, "EndPoint.0018"),
    "invalid-status": Problem(400, "EndPoint.0019"),
    "invalid-vpc-id": Problem(400, "EndPoint.0020"),
    "invalid-marker": Problem(400, "EndPoint.0021"),
    "invalid-subnet-id": Problem(400, "EndPoint.0023"),
    "malformed-request": Problem(400, "EndPoint.1004"),
    "body-too-large": Problem(400, "EndPoint.1004"),
    "request-timed-out": Problem(408, "EndPoint.0013"),
    "quota-exceeded": Problem(400, "Endpoint.1018"),  # with a lower-case p, as the contract prints it
    "vpc-not-found": Problem(400, "EndPoint.2001"),
    "empty-endpoint-list": Problem(400, "EndPoint.2002"),
    "target-service-not-found": Problem(400, "EndPoint.2003"),
    "service-not-available": Problem(400, "EndPoint.2004"),
    "endpoint-not-found": Problem(404, "EndPoint.2006"),
    "subnet-not-found": Problem(404, "EndPoint.4008"),
    "missing-subnet-id": Problem(400, "EndPoint.2010"),
    "missing-vpc-id": Problem(400, "EndPoint.2011"),
    "not-permitted": Problem(400, "EndPoint.2012"),
    "other-services-endpoint": Problem(400, "EndPoint.2013"),
    "subnet-full": Problem(400, "EndPoint.2016"),
    "pool-full": Problem(400, "EndPoint.2016"),
    "connections-full": Problem(400, "EndPoint.2016"),
    "invalid-endpoint-id": Problem(400, "EndPoint.2017"),
    "endpoint-deleting": Problem(400, "EndPoint.2018"),
    "endpoint-creating": Problem(400, "EndPoint.2019"),
    "data-plane-failure": Problem(400, "EndPoint.2022"),
    "invalid-connection-action": Problem(400, "EndPoint.2027"),
    "missing-service-id": Problem(400, "EndPoint.2029"),
    "too-many-endpoints": Problem(400, "EndPoint.2031"),
    "invalid-enable-dns": Problem(400, "EndPoint.2033"),
    "subnet-not-in-vpc": Problem(400, "EndPoint.2037"),
    "invalid-endpoint-address": Problem(400, "EndPoint.2041"),
    "address-taken": Problem(400, "EndPoint.2042"),
    "address-outside-subnet": Problem(400, "EndPoint.2043"),
    "invalid-whitelist": Problem(400, "EndPoint.2044"),
    "too-many-whitelist-entries": Problem(400, "EndPoint.2045"),
    "endpoint-failed": Problem(400, "EndPoint.2047"),
    "invalid-policy": Problem(400, "EndPoint.2048"),
    "policy-not-taken": Problem(400, "EndPoint.2048"),
    "no-policy": Problem(400, "EndPoint.2049"),
    "invalid-permission": Problem(400, "EndPoint.3002"),
    "invalid-client-port": Problem(400, "EndPoint.3004"),
    "service-in-use": Problem(400, "EndPoint.3006"),
    "port-not-found": Problem(400, "EndPoint.3008"),
    "transit-range-overlap": Problem(400, "EndPoint.3009"),
    "ip-not-allowed": Problem(400, "EndPoint.3011"),
    "invalid-server-type": Problem(400, "EndPoint.3021"),
    "invalid-permission-action": Problem(400, "EndPoint.3035"),
    "empty-permission-list": Problem(400, "EndPoint.3036"),
    "port-not-in-vpc": Problem(400, "EndPoint.3042"),
    "invalid-server-port": Problem(400, "EndPoint.3043"),
    "ports-conflict": Problem(400, "EndPoint.3044"),
    "duplicate-client-port": Problem(400, "EndPoint.3044"),
    "service-not-changeable": Problem(400, "EndPoint.3045"),
    "invalid-net-type": Problem(400, "EndPoint.3048"),
    "too-many-permissions": Problem(400, "EndPoint.3049"),
    "invalid-vip-port-id": Problem(400, "EndPoint.3051"),
    "ip-with-port-id": Problem(400, "EndPoint.3052"),
    "ip-with-vip-port-id": Problem(400, "EndPoint.3053"),
    "backend-not-changeable": Problem(400, "EndPoint.3054"),
    "ip-not-changeable": Problem(400, "EndPoint.3055"),
    "invalid-service-id": Problem(400, "EndPoint.3062"),
    "invalid-port-id": Problem(400, "EndPoint.3063"),
    "empty-tag": Problem(400, "EndPoint.3066"),
    "duplicate-tag": Problem(400, "EndPoint.3067"),
    "invalid-tag": Problem(400, "EndPoint.3068"),
    "too-many-tags": Problem(400, "EndPoint.3069"),
    "too-many-tag-values": Problem(400, "EndPoint.3069"),
    "invalid-resource-type": Problem(400, "EndPoint.3070"),
    "duplicate-tag-value": Problem(400, "EndPoint.3071"),
    "tag-key-too-long": Problem(400, "EndPoint.3072"),
    "tag-value-too-long": Problem(400, "EndPoint.3073"),
    "too-many-ports": Problem(400, "EndPoint.3074"),
    "invalid-protocol": Problem(400, "EndPoint.3075"),
    "invalid-service-name": Problem(400, "EndPoint.3076"),
    # The VPC API. VPC.01xx to 05xx and 07xx are the cloud's codes, VPC.26xx are ours.
    "invalid-vpc": Problem(400, "VPC.0101"),
    "invalid-vpc-range": Problem(400, "VPC.0101"),
    "vpc-range-too-small": Problem(400, "VPC.0117"),
    "invalid-subnet": Problem(400, "VPC.0201"),
    "invalid-subnet-range": Problem(400, "VPC.0212"),
    "subnet-outside-vpc": Problem(400, "VPC.0203"),
    "subnet-overlap": Problem(400, "VPC.0204"),
    "subnet-of-another-vpc": Problem(400, "VPC.0207"),
    "invalid-port": Problem(400, "VPC.2500"),
    "port-address-outside-subnet": Problem(400, "VPC.0705"),
    "invalid-route-table": Problem(400, "VPC.2600"),
    "no-such-vpc": Problem(404, "VPC.0003"),
    "no-such-subnet": Problem(404, "VPC.0202"),
    "no-such-port": Problem(404, "VPC.0704"),
    "no-such-route-table": Problem(404, "VPC.2604"),
    "vpc-has-subnets": Problem(409, "VPC.0104"),
    "vpc-has-route-tables": Problem(409, "VPC.0120"),
    "subnet-has-ports": Problem(409, "VPC.0208"),
    "subnet-in-use": Problem(409, "VPC.0209"),
    "port-in-use": Problem(409, "VPC.0707"),
    "port-address-taken": Problem(409, "VPC.0701"),
    "no-free-port-address": Problem(409, "VPC.0703"),
    "route-table-in-use": Problem(409, "VPC.2609"),
    "default-route-table-stays": Problem(409, "VPC.2610"),
    "reserved-range": Problem(409, "VPC.2611"),
    "route-of-endpoint": Problem(409, "VPC.2612"),
    "range-leads-out": Problem(409, "VPC.2613"),
    "vpc-in-use": Problem(409, "VPC.2614"),
    "too-many-networks": Problem(409, "VPC.0114"),
    "from-lab-file": Problem(409, "VPC.0004"),
    "wiring-failed": Problem(503, "VPC.0105"),
}


def problem_of(error: UserError) -> Problem:
    """Return status and code of an error."""
    return PROBLEMS[error.slug]


def vpcep_response(problem: Problem, message: str, form: str = "union") -> JSONResponse:
    """Return an error in one of the documented shapes, or in the `union` of both (contract 1.7)."""
    nested = {"error": {"code": problem.code, "message": message}}
    flat = {"error_code": problem.code, "error_msg": message}
    return JSONResponse({"nested": nested, "flat": flat}.get(form, nested | flat), problem.status)


def network_response(problem: Problem, message: str) -> JSONResponse:
    """Return an error of the VPC API: its own flat pair beside the union."""
    body = {
        "code": problem.code,
        "message": message,
        "error": {"code": problem.code, "message": message},
        "error_code": problem.code,
        "error_msg": message,
    }
    return JSONResponse(body, problem.status)


_KEYSTONE_TITLES = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    500: "Internal Server Error",
}


def keystone_response(problem: Problem, message: str) -> JSONResponse:
    """Return an error as Keystone's clients read it (contract 8.1), with the flat pair that the Huawei SDK reads."""
    title = _KEYSTONE_TITLES.get(problem.status, "Error")
    body = {
        "error": {"code": problem.status, "title": title, "message": message},
        "error_code": problem.code,
        "error_msg": message,
    }
    return JSONResponse(body, problem.status)


def failure_items(failures: list[Failure]) -> list[dict[str, str]]:
    """Return failures as they stand inside resources: all four members that clients look for (contract 4.3)."""
    return [
        {
            "code": PROBLEMS[failure.slug].code,
            "message": failure.message,
            "error_code": PROBLEMS[failure.slug].code,
            "error_message": failure.message,
        }
        for failure in failures
    ]
