"""Rows about endpoint services (contract 6.1)."""

from collections.abc import Iterator, Sequence
from typing import Any

from tests.integration.code_table.row import SERVICE, SERVICES, UNKNOWN, Row, creating, modifying, port, tags

CREATE_SERVICE = [
    creating("vpc_id is needed", "invalid-vpc-id", "EndPoint.0020", vpc_id=None),
    creating("vpc_id is a UUID", "invalid-vpc-id", "EndPoint.0020", vpc_id="net"),
    creating("the VPC exists", "vpc-not-found", "EndPoint.2001", vpc_id=UNKNOWN),
    creating("the VPC is the project's", "vpc-not-found", "EndPoint.2001", vpc_id="{vpc:globex-vpc}"),
    creating("port_id is needed", "invalid-port-id", "EndPoint.3063", port_id=None),
    creating("port_id is a UUID", "invalid-port-id", "EndPoint.3063", port_id="nic"),
    creating("the port exists", "port-not-found", "EndPoint.3008", port_id=UNKNOWN),
    creating("the port is the project's", "port-not-found", "EndPoint.3008", port_id="{port:client-1}"),
    creating("the port is in the VPC", "port-not-in-vpc", "EndPoint.3042", port_id="{port:other-1}"),
    creating("vip_port_id is a UUID", "invalid-vip-port-id", "EndPoint.3051", vip_port_id="vip"),
    creating("the virtual IP exists", "invalid-vip-port-id", "EndPoint.3051", vip_port_id=UNKNOWN),
    creating("a VIP service has a virtual IP", "invalid-vip-port-id", "EndPoint.3051", server_type="VIP"),
    creating("server_type is needed", "invalid-server-type", "EndPoint.3021", server_type=None),
    creating("server_type is known", "invalid-server-type", "EndPoint.3021", server_type="BMS"),
    creating("gateway services are the operator's", "forbidden", "EndPoint.0004", status=403, service_type="gateway"),
    creating("service_type is known", "invalid-parameter", "EndPoint.0002", service_type="tunnel"),
    creating("service_name has 16 characters", "invalid-service-name", "EndPoint.3076", service_name="a" * 17),
    creating("service_name has no dot", "invalid-service-name", "EndPoint.3076", service_name="a.b"),
    creating("approval_enabled is a boolean", "invalid-parameter", "EndPoint.0002", approval_enabled="true"),
    creating("tcp_proxy is known", "invalid-parameter", "EndPoint.0002", tcp_proxy="sometimes"),
    creating("description has no <", "invalid-parameter", "EndPoint.0002", description="a<b"),
    creating("description has 128 characters", "invalid-parameter", "EndPoint.0002", description="d" * 129),
    creating("ip is not for interface services", "ip-not-allowed", "EndPoint.3011", ip="10.0.0.20"),
    creating("ports are needed", "invalid-parameter", "EndPoint.0002", ports=None),
    creating("ports are not empty", "invalid-parameter", "EndPoint.0002", ports=[]),
    creating("server_port is needed", "invalid-server-port", "EndPoint.3043", ports=[{"client_port": 80}]),
    creating("server_port is not above 65535", "invalid-server-port", "EndPoint.3043", ports=port(server_port=65536)),
    creating("server_port is a whole number", "invalid-server-port", "EndPoint.3043", ports=port(server_port="80")),
    creating("client_port is needed", "invalid-client-port", "EndPoint.3004", ports=[{"server_port": 80}]),
    creating("client_port is not below 1", "invalid-client-port", "EndPoint.3004", ports=port(client_port=0)),
    creating("the protocol is TCP", "invalid-protocol", "EndPoint.3075", ports=port(protocol="UDP")),
    creating("a client port is mapped once", "duplicate-client-port", "EndPoint.3044", ports=port() + port()),
    creating(
        "a server port of a port_id belongs to one service",
        "ports-conflict",
        "EndPoint.3044",
        given="a service",
        ports=port(server_port=80, client_port=9),
    ),
    creating(
        "there are 200 mappings",
        "too-many-ports",
        "EndPoint.3074",
        ports=[{"client_port": number, "server_port": number} for number in range(1, 202)],
    ),
    creating(
        "no subnet of the VPC overlaps 198.19.128.0/17",
        "transit-range-overlap",
        "EndPoint.3009",
        vpc_id="{vpc:acme-reserved}",
        port_id="{port:reserved-1}",
    ),
    creating(
        "no custom route of the VPC overlaps 198.19.128.0/17",
        "transit-range-overlap",
        "EndPoint.3009",
        vpc_id="{vpc:acme-routed}",
        port_id="{port:routed-1}",
    ),
    creating("a project has 20 services", "quota-exceeded", "Endpoint.1018", given="20 services"),
    creating("a tag has a key", "empty-tag", "EndPoint.3066", tags=tags(key="")),
    creating("a tag key appears once", "duplicate-tag", "EndPoint.3067", tags=tags() + tags()),
    creating("a tag key has no /", "invalid-tag", "EndPoint.3068", tags=tags(key="a/b")),
    creating("a tag value does not end in a space", "invalid-tag", "EndPoint.3068", tags=tags(value="v ")),
    creating("there are 10 tags", "too-many-tags", "EndPoint.3069", tags=tags(11)),
    creating("a tag key has 36 characters", "tag-key-too-long", "EndPoint.3072", tags=tags(key="k" * 37)),
    creating("a tag value has 43 characters", "tag-value-too-long", "EndPoint.3073", tags=tags(value="v" * 44)),
]

SERVICE_PATHS: Sequence[tuple[str, str, Any]] = [
    ("GET", "", None),
    ("PUT", "", {}),
    ("DELETE", "", None),
    ("PUT", "/name", {"endpoint_service_name": "new"}),
    ("GET", "/connections", None),
    ("POST", "/connections/action", {"action": "receive", "endpoints": [UNKNOWN]}),
    ("PUT", "/connections/description", {"connections": [{"id": UNKNOWN, "description": ""}]}),
    ("GET", "/permissions", None),
    ("POST", "/permissions/action", {"action": "add", "permissions": ["*"]}),
    ("POST", "/permissions/batch-create", {"permissions": [{"permission": "*", "description": ""}]}),
    ("POST", "/permissions/batch-delete", {"permissions": [{"id": UNKNOWN}]}),
    ("PUT", f"/permissions/{UNKNOWN}", {"permission": {"description": ""}}),
]
ABSENT = {
    "unknown": (UNKNOWN, "nothing"),
    "another project's": ("{service}", "a service of globex"),
    "no UUID": ("x", "nothing"),
}


def absent_services() -> Iterator[Row]:
    """Yield a row for every path of a service and every way in which a service can be absent."""
    for method, rest, body in SERVICE_PATHS:
        for how, (id_, given) in ABSENT.items():
            rule = f"{method} …{rest.replace(UNKNOWN, '{id}')} needs a service of the project, not {how}"
            path = f"{SERVICES}/{id_}{rest}"
            yield Row(rule, "service-not-found", "EndPoint.0005", method, path, body, status=404, given=given)


def public_services() -> Iterator[Row]:
    """Yield a row for what a project cannot do to a public service on one of its backends."""
    for method, rest, body in SERVICE_PATHS:
        if (method, rest) in {("PUT", ""), ("DELETE", ""), ("PUT", "/name"), ("POST", "/permissions/action")}:
            rule = f"{method} …{rest} of a public service is the operator's"
            path = f"{SERVICES}/{{service}}{rest}"
            given = "a public service of the project"
            yield Row(rule, "forbidden", "EndPoint.0004", method, path, body, status=403, given=given)


def unchangeable_services() -> Iterator[Row]:
    """Yield a row for every state in which a service cannot be modified."""
    for state in ("creating", "failed", "deleting"):
        rule = f"a {state} service is not modified"
        yield modifying(rule, "service-not-changeable", "EndPoint.3045", given=f"a {state} service", description="x")


CHANGE_SERVICE = [
    *absent_services(),
    *public_services(),
    *unchangeable_services(),
    modifying("a new name has 16 characters", "invalid-service-name", "EndPoint.3076", service_name="a" * 17),
    modifying("new ports are not empty", "invalid-parameter", "EndPoint.0002", ports=[]),
    modifying("a new server_port is not 0", "invalid-server-port", "EndPoint.3043", ports=port(server_port=0)),
    modifying("a new client_port is not 0", "invalid-client-port", "EndPoint.3004", ports=port(client_port=0)),
    modifying("a new protocol is TCP", "invalid-protocol", "EndPoint.3075", ports=port(protocol="UDP")),
    modifying("a new client port is mapped once", "duplicate-client-port", "EndPoint.3044", ports=port() + port()),
    modifying(
        "a new server port belongs to no other service",
        "ports-conflict",
        "EndPoint.3044",
        given="two services on one port_id",
        ports=port(server_port=81),
    ),
    modifying(
        "there are 200 new mappings",
        "too-many-ports",
        "EndPoint.3074",
        ports=[{"client_port": number, "server_port": number} for number in range(1, 202)],
    ),
    modifying("a new tcp_proxy is known", "invalid-parameter", "EndPoint.0002", tcp_proxy="maybe"),
    modifying("a new tcp_proxy is carried by the data plane", "not-carried", "EndPoint.0002", tcp_proxy="toa_open"),
    Row(
        "endpoints are not kept for ever by their deletion",
        "invalid-cut-off",
        "EndPoint.0002",
        "PUT",
        f"ext/{SERVICE}/cut-off",
        {"on_delete": {"mode": "keep"}},
        given="a service",
    ),
    Row(
        "a drain has a deadline",
        "invalid-cut-off",
        "EndPoint.0002",
        "PUT",
        f"ext/{SERVICE}/cut-off",
        {"on_reject": {"mode": "drain"}},
        given="a service",
    ),
    modifying("a new description has no >", "invalid-parameter", "EndPoint.0002", description=">"),
    modifying("approval_enabled stays a boolean", "invalid-parameter", "EndPoint.0002", approval_enabled=1),
    modifying("a VM service keeps its port_id", "backend-not-changeable", "EndPoint.3054", port_id="{port:web-2}"),
    modifying("a new port_id is a UUID", "invalid-port-id", "EndPoint.3063", port_id="nic", given="an LB service"),
    modifying("a new port exists", "port-not-found", "EndPoint.3008", port_id=UNKNOWN, given="an LB service"),
    modifying(
        "a new port is in the VPC", "port-not-in-vpc", "EndPoint.3042", port_id="{port:other-1}", given="an LB service"
    ),
    modifying("ip cannot be changed", "ip-not-changeable", "EndPoint.3055", ip="10.0.0.9"),
    modifying(
        "ip and port_id do not change together",
        "ip-with-port-id",
        "EndPoint.3052",
        ip="10.0.0.9",
        port_id="{port:web-2}",
    ),
    modifying(
        "ip and vip_port_id do not change together",
        "ip-with-vip-port-id",
        "EndPoint.3053",
        ip="10.0.0.9",
        vip_port_id="{vip:web-2/10.0.0.30}",
    ),
    modifying(
        "a new vip_port_id is a UUID", "invalid-vip-port-id", "EndPoint.3051", vip_port_id="vip", given="a VIP service"
    ),
    Row(
        "the name operation takes a name of 16 characters",
        "invalid-service-name",
        "EndPoint.3076",
        "PUT",
        f"{SERVICE}/name",
        {"endpoint_service_name": "a" * 17},
        given="a service",
    ),
    Row(
        "a service is not deleted while endpoints are connected",
        "service-in-use",
        "EndPoint.3006",
        "DELETE",
        SERVICE,
        given="an accepted endpoint",
    ),
]

ROWS = [*CREATE_SERVICE, *CHANGE_SERVICE]
