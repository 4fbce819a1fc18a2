"""Rows about public services as the operator publishes them, an extension of the contract."""

from typing import Any

from tests.integration.code_table.row import UNKNOWN, Row, port

PUBLIC = "ext/public-services"


def publishing(
    rule: str, slug: str, code: str, body: dict[str, Any], *, given: str = "nothing", status: int = 400
) -> Row:
    """Return the row of a publication by the operator."""
    return Row(rule, slug, code, "POST", PUBLIC, body, given=given, status=status, who="hooli")


def gateway(**change: Any) -> dict[str, Any]:
    base = {
        "service_name": "com.example.lab-1.store",
        "service_type": "gateway",
        "cidrs": ["100.125.0.0/16"],
        "subnet_id": "{public:subnet}",
    }
    return {name: value for name, value in (base | change).items() if value is not None}


def interface(**change: Any) -> dict[str, Any]:
    base = {"service_name": "com.example.lab-1.dns", "port_id": "{port:obs-1}", "ports": port()}
    return {name: value for name, value in (base | change).items() if value is not None}


ROWS = [
    publishing("a public name has three words", "invalid-service-name", "EndPoint.3076", gateway(service_name="store")),
    publishing(
        "a public name is one service's",
        "public-name-taken",
        "EndPoint.3076",
        interface(service_name="com.landbridge.lab-1.dns"),
    ),
    publishing("a public service has one type of two", "invalid-parameter", "EndPoint.0002", gateway(service_type="x")),
    publishing("an owner has visible characters", "invalid-parameter", "EndPoint.0002", gateway(owner="\n")),
    publishing("a gateway service has networks", "invalid-networks", "EndPoint.3017", gateway(cidrs=None)),
    publishing("a network has no host bits", "invalid-networks", "EndPoint.3017", gateway(cidrs=["100.125.0.1/16"])),
    publishing("networks are texts", "invalid-networks", "EndPoint.3017", gateway(cidrs=[7])),
    publishing(
        "a network does not overlap 198.19.128.0/17", "invalid-networks", "EndPoint.3017", gateway(cidrs=["0.0.0.0/0"])
    ),
    publishing(
        "an address belongs to one gateway service",
        "networks-conflict",
        "EndPoint.3046",
        gateway(service_name="com.example.lab-1.other", cidrs=["100.125.7.0/24"]),
        given="a gateway service",
    ),
    publishing("a gateway service has no port_id", "port-id-not-allowed", "EndPoint.3015", gateway(port_id=UNKNOWN)),
    publishing("a gateway service has no ports", "invalid-parameter", "EndPoint.0002", gateway(ports=port())),
    publishing(
        "the subnet of a gateway service exists",
        "subnet-not-found",
        "EndPoint.4008",
        gateway(subnet_id=UNKNOWN),
        status=404,
    ),
    publishing(
        "a gateway service needs subnet_id", "subnet-not-found", "EndPoint.4008", gateway(subnet_id=None), status=404
    ),
    publishing(
        "the VPC of a way out does not overlap 198.19.128.0/17",
        "transit-range-overlap",
        "EndPoint.3009",
        gateway(subnet_id="{subnet:acme-reserved/overlapping}"),
    ),
    publishing(
        "an interface service has no networks", "networks-not-allowed", "EndPoint.3014", interface(cidrs=["10.0.0.0/8"])
    ),
    publishing("an interface service needs port_id", "port-not-found", "EndPoint.3008", interface(port_id=None)),
    publishing("the NIC of an interface service exists", "port-not-found", "EndPoint.3008", interface(port_id=UNKNOWN)),
    publishing("an interface service has ports", "invalid-parameter", "EndPoint.0002", interface(ports=None)),
    publishing(
        "a server port of a NIC is one service's",
        "ports-conflict",
        "EndPoint.3044",
        interface(port_id="{port:dns-1}", ports=port(server_port=53)),
    ),
    Row("a tenant publishes nothing to everybody", "forbidden", "EndPoint.0004", "POST", PUBLIC, gateway(), status=403),
    Row("a tenant does not see who publishes what", "forbidden", "EndPoint.0004", "GET", PUBLIC, status=403),
    Row(
        "what is taken back is a public service",
        "service-not-found",
        "EndPoint.0005",
        "DELETE",
        f"{PUBLIC}/{UNKNOWN}",
        status=404,
        who="hooli",
    ),
    Row(
        "a tenant's service is no public one",
        "service-not-found",
        "EndPoint.0005",
        "DELETE",
        f"{PUBLIC}/{{service}}",
        status=404,
        who="hooli",
        given="a service",
    ),
    Row(
        "what the lab file publishes is taken back there",
        "forbidden",
        "EndPoint.0004",
        "DELETE",
        f"{PUBLIC}/{{public_service:com.landbridge.lab-1.dns}}",
        status=403,
        who="hooli",
    ),
    Row(
        "a public service with connections is not taken back",
        "service-in-use",
        "EndPoint.3006",
        "DELETE",
        f"{PUBLIC}/{{service}}",
        who="hooli",
        given="a gateway endpoint",
    ),
]
