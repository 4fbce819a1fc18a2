"""Rows about endpoints (contract 6.3)."""

from collections.abc import Iterator, Sequence
from typing import Any

from tests.integration.code_table.row import ENDPOINT, ENDPOINTS, UNKNOWN, Row, connecting, tags

CREATE_ENDPOINT = [
    connecting("endpoint_service_id is needed", "missing-service-id", "EndPoint.2029", without="endpoint_service_id"),
    connecting("endpoint_service_id is a UUID", "invalid-service-id", "EndPoint.3062", endpoint_service_id="web"),
    connecting("the service exists", "target-service-not-found", "EndPoint.2003", endpoint_service_id=UNKNOWN),
    connecting(
        "a failed service is not connected to", "service-not-available", "EndPoint.2004", given="a failed service"
    ),
    connecting("a domain needs a permission", "not-permitted", "EndPoint.2012", given="a service without permissions"),
    connecting("an endpoint needs vpc_id", "missing-vpc-id", "EndPoint.2011", without="vpc_id"),
    connecting("an endpoint's vpc_id is a UUID", "invalid-vpc-id", "EndPoint.0020", vpc_id="net"),
    connecting("the consumer's VPC exists", "vpc-not-found", "EndPoint.2001", vpc_id=UNKNOWN),
    connecting("the consumer's VPC is the project's", "vpc-not-found", "EndPoint.2001", vpc_id="{vpc:acme-vpc}"),
    connecting(
        "the consumer's VPC does not overlap 198.19.128.0/17",
        "transit-range-overlap",
        "EndPoint.3009",
        vpc_id="{vpc:globex-reserved}",
        subnet_id="{subnet:globex-reserved/overlapping}",
    ),
    connecting("subnet_id is needed", "missing-subnet-id", "EndPoint.2010", without="subnet_id"),
    connecting("subnet_id is a UUID", "invalid-subnet-id", "EndPoint.0023", subnet_id="net"),
    connecting("the subnet exists", "subnet-not-found", "EndPoint.4008", status=404, subnet_id=UNKNOWN),
    connecting(
        "the subnet is the project's",
        "subnet-not-found",
        "EndPoint.4008",
        status=404,
        subnet_id="{subnet:acme-vpc/web}",
    ),
    connecting(
        "the subnet is in the VPC",
        "subnet-not-in-vpc",
        "EndPoint.2037",
        subnet_id="{subnet:globex-reserved/overlapping}",
    ),
    connecting("port_ip is an IPv4 address", "invalid-endpoint-address", "EndPoint.2041", port_ip="10.0.0.256"),
    connecting("port_ip is free", "address-taken", "EndPoint.2042", port_ip="10.0.0.10"),
    connecting("port_ip is in the subnet", "address-outside-subnet", "EndPoint.2043", port_ip="10.0.1.5"),
    connecting(
        "the subnet has a free address",
        "subnet-full",
        "EndPoint.2016",
        given="a full subnet",
        subnet_id="{subnet:globex-vpc/tiny}",
    ),
    connecting("enable_dns is a boolean", "invalid-enable-dns", "EndPoint.2033", enable_dns="true"),
    connecting("a whitelist has addresses", "invalid-whitelist", "EndPoint.2044", whitelist=["client-1"]),
    connecting("a whitelist is not for everybody", "invalid-whitelist", "EndPoint.2044", whitelist=["10.0.0.0/0"]),
    connecting(
        "a whitelist has 20 entries",
        "too-many-whitelist-entries",
        "EndPoint.2045",
        whitelist=[f"10.0.0.{number}" for number in range(21)],
    ),
    connecting("the specification is known", "invalid-specification", "EndPoint.0015", specification_name="large"),
    connecting("an endpoint's description has no <", "invalid-parameter", "EndPoint.0002", description="<"),
    connecting(
        "policy_statement is for gateway services",
        "invalid-policy",
        "EndPoint.2048",
        policy_statement=[{"Effect": "Allow", "Action": ["*"], "Resource": ["*"]}],
    ),
    connecting(
        "a policy needs a service that takes one", "policy-not-taken", "EndPoint.2048", policy_document={"a": 1}
    ),
    connecting("a project has 50 endpoints", "quota-exceeded", "Endpoint.1018", given="50 endpoints"),
    connecting("an endpoint's tag has a key", "empty-tag", "EndPoint.3066", tags=tags(key=" ")),
    connecting("an endpoint's tag key appears once", "duplicate-tag", "EndPoint.3067", tags=tags() + tags()),
    connecting("an endpoint's tag has no =", "invalid-tag", "EndPoint.3068", tags=tags(value="a=b")),
    connecting("an endpoint has 10 tags", "too-many-tags", "EndPoint.3069", tags=tags(11)),
    connecting("an endpoint's tag key has 36 characters", "tag-key-too-long", "EndPoint.3072", tags=tags(key="k" * 37)),
    connecting(
        "an endpoint's tag value has 43 characters", "tag-value-too-long", "EndPoint.3073", tags=tags(value="v" * 44)
    ),
]


def leaving(
    rule: str, slug: str, code: str, *, given: str = "a gateway service", status: int = 400, **change: Any
) -> Row:
    """Return the row of a field of operation 19 for a gateway service; everything else in the body is right."""
    return connecting(rule, slug, code, given=given, status=status, without="subnet_id", **change)


CREATE_GATEWAY_ENDPOINT = [
    leaving("a route table's id is a UUID", "invalid-route-table-id", "EndPoint.1019", routetables=["main"]),
    leaving("the route table exists", "route-table-not-found", "EndPoint.4030", status=404, routetables=[UNKNOWN]),
    leaving(
        "the route table is the VPC's",
        "route-table-not-found",
        "EndPoint.4030",
        status=404,
        routetables=["{routetable:acme-vpc}"],
    ),
    leaving(
        "a route table leads to a network by one endpoint",
        "route-table-taken",
        "EndPoint.2039",
        given="a gateway endpoint",
    ),
    leaving(
        "no custom route leads into the networks",
        "routes-not-added",
        "EndPoint.4028",
        given="a gateway service and a custom route into its networks",
    ),
    leaving(
        "the networks are none of the VPC's own",
        "networks-in-vpc",
        "EndPoint.3009",
        given="a gateway service and a VPC in its networks",
        vpc_id="{vpc_in_networks}",
    ),
    leaving("a gateway endpoint has no address", "address-not-taken", "EndPoint.2041", port_ip="10.0.0.9"),
    leaving("a gateway endpoint has no whitelist", "whitelist-not-taken", "EndPoint.2044", whitelist=["10.0.0.9"]),
    connecting(
        "an interface endpoint has no route tables", "not-a-gateway-endpoint", "EndPoint.0002", routetables=[UNKNOWN]
    ),
]

ENDPOINT_PATHS: Sequence[tuple[str, str, Any]] = [
    ("GET", "", None),
    ("PUT", "", {"enable_whitelist": True}),
    ("DELETE", "", None),
    ("PUT", "/policy", {"policy_document": {"a": 1}}),
    ("DELETE", "/policy", None),
    ("PUT", "/routetables", {"routetables": [UNKNOWN]}),
]


def absent_endpoints() -> Iterator[Row]:
    """Yield a row for every path of an endpoint and every way in which an endpoint can be absent."""
    for method, rest, body in ENDPOINT_PATHS:
        of = f"{method} …{rest}"
        for how, id_, given in [
            ("unknown", UNKNOWN, "nothing"),
            ("another project's", "{endpoint}", "a pending endpoint"),
        ]:
            rule = f"{of} needs an endpoint of the project, not {how}"
            path = f"{ENDPOINTS}/{id_}{rest}"
            yield Row(rule, "endpoint-not-found", "EndPoint.2006", method, path, body, status=404, given=given)
        rule = f"{of} needs an endpoint id that is a UUID"
        yield Row(rule, "invalid-endpoint-id", "EndPoint.2017", method, f"{ENDPOINTS}/x{rest}", body)


def changing(rule: str, slug: str, code: str, *, given: str = "a pending endpoint", **body: Any) -> Row:
    """Return the row of a part of operation 22."""
    return Row(rule, slug, code, "PUT", ENDPOINT, body, given=given, who="globex")


CHANGE_ENDPOINT = [
    *absent_endpoints(),
    changing("a new whitelist has addresses", "invalid-whitelist", "EndPoint.2044", whitelist=["x"]),
    changing("a new whitelist is not for everybody", "invalid-whitelist", "EndPoint.2044", whitelist=["0.0.0.0"]),
    changing(
        "a new whitelist has 20 entries",
        "too-many-whitelist-entries",
        "EndPoint.2045",
        whitelist=[f"10.0.0.{number}" for number in range(21)],
    ),
    changing("enable_whitelist is a boolean", "invalid-parameter", "EndPoint.0002", enable_whitelist="yes"),
    changing(
        "a creating endpoint is not changed",
        "endpoint-creating",
        "EndPoint.2019",
        given="a creating endpoint",
        enable_whitelist=True,
    ),
    changing(
        "a failed endpoint is not changed",
        "endpoint-failed",
        "EndPoint.2047",
        given="a failed endpoint",
        enable_whitelist=True,
    ),
    changing(
        "a deleting endpoint is not changed",
        "endpoint-deleting",
        "EndPoint.2018",
        given="a deleting endpoint",
        enable_whitelist=True,
    ),
    Row(
        "a policy is set where the service takes one",
        "policy-not-taken",
        "EndPoint.2048",
        "PUT",
        f"{ENDPOINT}/policy",
        {"policy_document": {"a": 1}},
        given="a pending endpoint",
        who="globex",
    ),
    Row(
        "a policy is an object",
        "invalid-policy",
        "EndPoint.2048",
        "PUT",
        f"{ENDPOINT}/policy",
        {"policy_document": 7},
        given="an endpoint of a service with policies",
        who="globex",
    ),
    Row(
        "a policy that is deleted is there",
        "no-policy",
        "EndPoint.2049",
        "DELETE",
        f"{ENDPOINT}/policy",
        given="an endpoint of a service with policies",
        who="globex",
    ),
    Row(
        "an interface endpoint has no policy to delete where the service takes none",
        "no-policy",
        "EndPoint.2049",
        "DELETE",
        f"{ENDPOINT}/policy",
        given="a pending endpoint",
        who="globex",
    ),
    Row(
        "route tables are for gateway endpoints",
        "not-a-gateway-endpoint",
        "EndPoint.0002",
        "PUT",
        f"{ENDPOINT}/routetables",
        {"routetables": [UNKNOWN]},
        given="a pending endpoint",
        who="globex",
    ),
    *(
        Row(
            rule,
            slug,
            code,
            "PUT",
            f"{ENDPOINT}/routetables",
            body,
            given="a gateway endpoint",
            who="globex",
            status=status,
        )
        for rule, slug, code, status, body in [
            ("a gateway endpoint keeps a route table", "no-route-table", "EndPoint.2040", 400, {"routetables": []}),
            ("route tables are a list", "invalid-route-table-id", "EndPoint.1019", 400, {"routetables": "x"}),
            ("routetables is needed", "invalid-route-table-id", "EndPoint.1019", 400, {}),
            ("a new route table exists", "route-table-not-found", "EndPoint.4030", 404, {"routetables": [UNKNOWN]}),
        ]
    ),
]

ROWS = [*CREATE_ENDPOINT, *CREATE_GATEWAY_ENDPOINT, *CHANGE_ENDPOINT]
