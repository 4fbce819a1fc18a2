"""The operator's own network in a lab file, and the gateway services that lead to it."""

import json
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from landbridge.domain.networking import default_route_table_id
from landbridge.domain.resources import WayOut
from landbridge.lab import (
    LabFileError,
    PublicGatewayEntry,
    PublicServiceEntry,
    fabric,
    nics,
    parse_lab,
    public_services,
    read_lab,
    show,
    show_table,
    subnets,
    vpcs,
)

VALID = """\
region: lab-1
projects: [{name: acme}]
vpcs:
  - {name: acme-vpc, project: acme, cidr: 10.0.0.0/16, subnets: [{name: web, cidr: 10.0.0.0/24}]}
public:
  cidr: 100.125.0.0/16
  hosts: [{name: obs-1, ip: 100.125.0.10}]
public_services:
  - {name: com.example.lab-1.obs, type: gateway, cidrs: [100.125.0.0/17, 100.125.128.0/17], owner: The Lab}
  - {name: com.example.lab-1.dns, host: obs-1, ports: [{client_port: 53, server_port: 53}]}
"""


def complaint(old: str, new: str) -> str:
    """Return what is said when `old`, which is there once, is replaced by `new`."""
    assert VALID.count(old) == 1
    with pytest.raises(LabFileError) as caught:
        parse_lab(VALID.replace(old, new))
    return str(caught.value)


def test_the_public_network_is_a_vpc_with_one_subnet_that_is_nobodys():
    lab = parse_lab(VALID)
    projects = {facts["project_id"] for facts in show(lab)["projects"].values()}

    _, public = vpcs(lab)
    _, subnet = subnets(lab)
    (host,) = nics(lab)

    assert public.project_id not in projects
    assert (public.cidr, subnet.cidr, subnet.gateway) == (
        IPv4Network("100.125.0.0/16"),
        IPv4Network("100.125.0.0/16"),
        IPv4Address("100.125.0.1"),
    )
    assert (subnet.vpc_id, host.vpc_id, host.subnet_id) == (public.id, public.id, subnet.id)
    assert [wired.attachment.subnet_id for wired in fabric(lab).subnets] == [one.id for one in subnets(lab)]


def test_a_gateway_service_leads_through_the_public_network_to_its_networks():
    lab = parse_lab(VALID)

    obs, dns = public_services(lab)

    assert lab.public_services[0] == PublicGatewayEntry(
        "com.example.lab-1.obs", (IPv4Network("100.125.0.0/16"),), "The Lab"
    )
    assert obs.place == WayOut(subnets(lab)[1].id, (IPv4Network("100.125.0.0/16"),))
    assert (obs.ports, obs.vpc_id, obs.project_id) == ((), vpcs(lab)[1].id, vpcs(lab)[1].project_id)
    assert dns.place == nics(lab)[0]


def test_a_service_that_changes_its_type_is_another_service():
    def id_of_the_last(text: str) -> str:
        return public_services(parse_lab(text))[-1].id

    gateway = VALID.replace("host: obs-1, ports: [{client_port: 53, server_port: 53}]", "type: gateway, cidrs: [CIDR]")
    gateway = gateway.replace(", 100.125.128.0/17]", "]").replace("CIDR", "100.125.128.0/17")

    assert id_of_the_last(gateway) != id_of_the_last(VALID)


def test_ids_of_route_tables_the_public_network_and_its_hosts_are_shown():
    lab = parse_lab(VALID)

    shown = json.loads(json.dumps(show(lab)))

    vpc_id, (_, public), (_, subnet) = shown["vpcs"]["acme-vpc"]["vpc_id"], vpcs(lab), subnets(lab)
    assert shown["routetables"] == {"acme-vpc": {"routetable_id": default_route_table_id(vpc_id), "vpc_id": vpc_id}}
    assert shown["public"] == {
        "vpc_id": public.id,
        "subnet_id": subnet.id,
        "cidr": "100.125.0.0/16",
        "gateway": "100.125.0.1",
    }
    assert list(shown["vpcs"]) == ["acme-vpc"]
    assert list(shown["subnets"]) == ["acme-vpc/web"]
    assert shown["hosts"]["obs-1"]["namespace"] == "lb.lab-1.obs-1"
    assert shown["public_services"]["com.example.lab-1.obs"] == {
        "service_id": public_services(lab)[0].id,
        "type": "gateway",
        "owner": "The Lab",
        "project_id": public.project_id,
        "cidrs": ["100.125.0.0/16"],
        "subnet_id": subnet.id,
    }
    for text in (default_route_table_id(vpc_id), "com.example.lab-1.obs", "100.125.0.0/16", "obs-1"):
        assert text in show_table(lab)


def test_without_a_public_network_nothing_of_it_is_shown():
    shown = show(parse_lab("region: lab-1\nprojects: [{name: acme}]\n"))

    assert "public" not in shown
    assert shown["routetables"] == {}


def test_the_example_for_it_is_a_lab():
    lab = read_lab(Path(__file__).parents[3] / "examples" / "public.yaml")

    assert [type(entry) for entry in lab.public_services] == [PublicGatewayEntry, PublicServiceEntry]


MISTAKES = [
    (
        "  cidr: 100.125.0.0/16",
        "  cidr: 100.125.0.0/30",
        "6: public: cidr 100.125.0.0/30 must be /8 to /29 of ordinary",
    ),
    (
        "  cidr: 100.125.0.0/16",
        "  cidr: 198.19.0.0/16",
        "6: public: cidr 198.19.0.0/16 overlaps 198.19.128.0/17, which",
    ),
    ("  cidr: 100.125.0.0/16", "  range: 100.125.0.0/16", "6: public: there is no key range; write one of cidr,"),
    ("100.125.0.10", "100.126.0.10", "7: host obs-1: ip 100.126.0.10 is outside subnet 100.125.0.0/16; write an"),
    (
        "public:\n  cidr: 100.125.0.0/16\n  hosts: [{name: obs-1, ip: 100.125.0.10}]\n",
        "",
        (
            "6: public service com.example.lab-1.obs: there is no public network that it could lead to; "
            "write public: {cidr: 100.125.0.0/16} at the top of the file"
        ),
    ),
    (
        "[100.125.0.0/17, 100.125.128.0/17]",
        "[100.126.0.0/16]",
        "9: public service com.example.lab-1.obs: 100.126.0.0/16 is outside the public network 100.125.0.0/16; write",
    ),
    (
        "[100.125.0.0/17, 100.125.128.0/17]",
        "[100.125.0.1/17]",
        "9: public service com.example.lab-1.obs: '100.125.0.1/17' is no range: write one such as 100.125.0.0/16,",
    ),
    (
        "[100.125.0.0/17, 100.125.128.0/17]",
        "[]",
        "9: public service com.example.lab-1.obs: a gateway service has 1 to 50 networks, not 0; write cidrs:",
    ),
    (
        "host: obs-1, ports: [{client_port: 53, server_port: 53}]",
        "type: gateway, cidrs: [100.125.7.0/24]",
        "10: public service com.example.lab-1.dns: 100.125.7.0/24 has addresses of 100.125.0.0/16, which is already on",
    ),
    (
        "name: com.example.lab-1.obs, type: gateway",
        "name: obs, type: gateway",
        "9: public service: name obs must be three or more words of letters, digits, - and _ with dots between them,",
    ),
    (
        "type: gateway, cidrs: [100.125.0.0/17, 100.125.128.0/17]",
        "type: gateway",
        "9: public service com.example.lab-1.obs: cidrs is missing; write cidrs: [100.125.0.0/16]",
    ),
]


@pytest.mark.parametrize(("old", "new", "said"), MISTAKES, ids=[f"{old}->{new}"[:60] for old, new, _ in MISTAKES])
def test_a_mistake_is_told_with_its_line_and_the_way_out(old: str, new: str, said: str):
    assert complaint(old, new).startswith(f"lab.yaml:{said}")
