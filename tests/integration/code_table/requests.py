"""Rows about requests as such, and about queries (contract 1.5, 6.1)."""

from collections.abc import Iterator

from tests.integration.code_table.row import ENDPOINTS, PERMISSIONS, SERVICE, SERVICES, UNKNOWN, Row, asking

REQUESTS = [
    Row("a body is needed", "malformed-request", "EndPoint.1004", "POST", SERVICES),
    Row("a body is JSON", "malformed-request", "EndPoint.1004", "POST", SERVICES, content=b"{"),
    Row("a body is a JSON object", "malformed-request", "EndPoint.1004", "POST", SERVICES, []),
    Row("a body has at most 1 MiB", "body-too-large", "EndPoint.1004", "POST", SERVICES, content=b" " * (2**20 + 1)),
    Row("a body without a type is read as JSON", "invalid-port-id", "EndPoint.3063", "POST", SERVICES, content=b"{}"),
    Row("a path exists", "route-not-found", "EndPoint.0005", "GET", "nothing", status=404),
    Row("a method exists", "method-not-allowed", "EndPoint.0002", "PATCH", SERVICES, status=405),
    Row("a project id is well formed", "invalid-project-id", "EndPoint.0014", "GET", f"/v1/a%20b/{SERVICES}"),
    Row("a project is the token's", "forbidden", "EndPoint.0004", "GET", "/v1/{project:globex}/quotas", status=403),
    Row(
        "a caller is known",
        "unauthenticated",
        "EndPoint.0003",
        "GET",
        SERVICES,
        status=401,
        headers={"X-Auth-Token": None},
    ),
    Row(
        "a token is one of ours",
        "unauthenticated",
        "EndPoint.0003",
        "GET",
        SERVICES,
        status=401,
        headers={"X-Auth-Token": "a.b.c"},
    ),
    Row(
        "a signature is right",
        "unauthenticated",
        "EndPoint.0003",
        "GET",
        SERVICES,
        status=401,
        headers={
            "Authorization": f"SDK-HMAC-SHA256 Access=ACMEKEY, SignedHeaders=x-sdk-date, Signature={'0' * 64}",
            "X-Sdk-Date": "{now}",
        },
    ),
    Row(
        "an algorithm is known",
        "unauthenticated",
        "EndPoint.0003",
        "GET",
        SERVICES,
        status=401,
        headers={
            "Authorization": f"SDK-HMAC-SM3 Access=ACMEKEY, SignedHeaders=x-sdk-date, Signature={'0' * 64}",
            "X-Sdk-Date": "{now}",
        },
    ),
    Row("a reader changes nothing", "forbidden", "EndPoint.0004", "POST", SERVICES, {}, status=403, who="reader"),
]


def lists() -> Iterator[Row]:
    """Yield the rows of paging and order for every list."""
    for path, limit in [
        (SERVICES, 1001),
        (f"{SERVICES}/public", 1001),
        (f"{SERVICE}/connections", 1001),
        (PERMISSIONS, 501),
        (ENDPOINTS, 1001),
    ]:
        of = f"of GET …/{path.rpartition('/')[2]}"
        yield asking(f"limit {of} is not {limit}", "invalid-limit", "EndPoint.0006", path, limit=limit)
        yield asking(f"limit {of} is a number", "invalid-limit", "EndPoint.0006", path, limit="ten")
        yield asking(f"limit {of} is not negative", "invalid-limit", "EndPoint.0006", path, limit=-1)
        yield asking(f"offset {of} is not negative", "invalid-offset", "EndPoint.0010", path, offset=-1)
        yield asking(f"offset {of} is a number", "invalid-offset", "EndPoint.0010", path, offset="1.5")
        yield asking(f"sort_key {of} is known", "invalid-sort-key", "EndPoint.0017", path, sort_key="name")
        yield asking(f"sort_dir {of} is known", "invalid-sort-dir", "EndPoint.0018", path, sort_dir="up")


QUERIES = [
    *lists(),
    asking("net_type is known", "invalid-net-type", "EndPoint.3048", SERVICES, net_type="carrier-pigeon"),
    asking("status of services is known", "invalid-status", "EndPoint.0019", SERVICES, status="gone"),
    asking(
        "status of connections is known", "invalid-status", "EndPoint.0019", f"{SERVICE}/connections", status="gone"
    ),
    asking("marker_id is a number", "invalid-marker", "EndPoint.0021", f"{SERVICE}/connections", marker_id="x"),
    asking("describe needs id or name", "invalid-parameter", "EndPoint.0002", f"{SERVICES}/describe"),
    asking(
        "describe takes id or name, not both",
        "invalid-parameter",
        "EndPoint.0002",
        f"{SERVICES}/describe",
        id=UNKNOWN,
        endpoint_service_name="x",
    ),
    Row(
        "what is described exists",
        "service-not-found",
        "EndPoint.0005",
        "GET",
        f"{SERVICES}/describe",
        params={"id": UNKNOWN},
        status=404,
    ),
    asking(
        "a name filter has 128 characters",
        "invalid-parameter",
        "EndPoint.0002",
        ENDPOINTS,
        endpoint_service_name="x" * 129,
    ),
    asking("a type of quota is known", "invalid-resource-type", "EndPoint.3070", "quotas", type="vpc"),
]

ROWS = [*REQUESTS, *QUERIES]
