"""Public services of a lab file: what may be written, and which ids come out."""

import json

import pytest

from landbridge.domain.ids import is_uuid
from landbridge.domain.resources import Nic, PortMapping
from landbridge.lab import LabFileError, parse_lab, public_services, show, show_table

VALID = """\
region: lab-1
projects: [{name: acme}, {name: globex, domain: conglomerate}]
public_services:
  - {name: com.example.dns, type: interface, host: web-1, owner: The Lab, ports: [{client_port: 53, server_port: 5353}]}
  - name: com.example.lab-1.iam
    host: web-1
    ports: [{client_port: 443, server_port: 8443}, {client_port: 80, server_port: 8443}]
vpcs:
  - name: v
    project: globex
    cidr: 10.0.0.0/16
    subnets:
      - {name: s, cidr: 10.0.0.0/24, hosts: [{name: web-1, ip: 10.0.0.20}]}
"""


def complaint(old: str, new: str) -> str:
    """Return what is said when `old`, which is there once, is replaced by `new`."""
    assert VALID.count(old) == 1
    with pytest.raises(LabFileError) as caught:
        parse_lab(VALID.replace(old, new))
    return str(caught.value)


def test_a_public_service_belongs_to_the_project_of_its_host():
    lab = parse_lab(VALID)
    dns, iam = public_services(lab)
    globex = show(lab)["projects"]["globex"]

    assert (dns.name, dns.owner, dns.ports) == ("com.example.dns", "The Lab", (PortMapping(53, 5353),))
    assert isinstance(iam.place, Nic)
    assert (iam.owner, iam.place.name) == ("lab", "web-1")
    assert (dns.project_id, dns.domain_id) == (globex["project_id"], globex["domain_id"])
    assert (iam.vpc_id, iam.place.id) == (show(lab)["vpcs"]["v"]["vpc_id"], show(lab)["hosts"]["web-1"]["port_id"])


def test_ids_depend_on_the_region_the_project_and_the_name():
    def id_of_dns(text: str) -> str:
        return public_services(parse_lab(text))[0].id

    id_ = id_of_dns(VALID)
    assert id_ == "482b660b-0985-5560-b7a8-7fd9fd9410d0"
    assert is_uuid(id_)
    assert id_of_dns(VALID.replace("web-1", "web-2").replace("5353", "53")) == id_
    others = {
        id_of_dns(VALID.replace("region: lab-1", "region: lab-2")),
        id_of_dns(VALID.replace("project: globex", "project: acme")),
        id_of_dns(VALID.replace("com.example.dns", "com.example.ntp")),
    }
    assert len(others | {id_}) == 4


def test_they_are_shown_to_scripts_and_to_people():
    lab = parse_lab(VALID)

    shown = json.loads(json.dumps(show(lab)))["public_services"]["com.example.dns"]

    dns = public_services(lab)[0]
    assert shown == {
        "service_id": dns.id,
        "type": "interface",
        "owner": "The Lab",
        "project_id": dns.project_id,
        "port_id": show(lab)["hosts"]["web-1"]["port_id"],
        "host": "web-1",
    }
    assert "com.example.dns" in show_table(lab)
    assert dns.id in show_table(lab)


MISTAKES = [
    (
        "com.example.dns",
        "dns",
        (
            "4: public service: name dns must be three or more words of letters, digits, - and _ with dots between "
            "them, at most 128 characters, and must not end in an id; write name: com.example.lab-1.dns"
        ),
    ),
    (
        "com.example.lab-1.iam",
        "com.example.dns",
        "5: public service com.example.dns: name com.example.dns is already on line 4; write another one",
    ),
    (
        "type: interface",
        "type: gateway",
        "4: public service com.example.dns: there is no key host; write one of name, type, cidrs, owner",
    ),
    (
        "type: interface",
        "type: tunnel",
        "4: public service com.example.dns: there is no such type; write type: interface, or type: gateway",
    ),
    (
        "    host: web-1\n",
        "    host: web\n",
        "6: public service com.example.lab-1.iam: there is no host web in this file; write host: web-1",
    ),
    (
        "    host: web-1\n",
        "",
        "5: public service com.example.lab-1.iam: host is missing; write host: web-1",
    ),
    (
        "owner: The Lab",
        "owner: 'a '",
        (
            "4: public service com.example.dns: owner must be 1 to 64 ASCII characters without control characters; "
            "write owner: lab"
        ),
    ),
    (
        "server_port: 5353",
        "server_port: 65536",
        (
            "4: public service com.example.dns: port: server_port 65536 is no number from 1 to 65535; "
            "write server_port: 53"
        ),
    ),
    (
        "server_port: 5353",
        "server_port: 8443",
        (
            "7: public service com.example.lab-1.iam: server_port 8443 of host web-1 is already on line 4; "
            "write another one"
        ),
    ),
    (
        "client_port: 80,",
        "client_port: 443,",
        (
            "7: public service com.example.lab-1.iam: client_port 443 is mapped twice: each may appear once; "
            "write ports: [{client_port: 53, server_port: 53}]"
        ),
    ),
    (
        "[{client_port: 53, server_port: 5353}]",
        "[]",
        (
            "4: public service com.example.dns: ports must have at least one mapping of client_port to server_port; "
            "write ports: [{client_port: 53, server_port: 53}]"
        ),
    ),
    (
        "server_port: 5353",
        "port: 5353",
        "4: public service com.example.dns: port: there is no key port; write one of client_port, server_port",
    ),
]


@pytest.mark.parametrize(("old", "new", "said"), MISTAKES, ids=[f"{old}->{new}"[:60] for old, new, _ in MISTAKES])
def test_a_mistake_is_told_with_its_line_and_the_way_out(old: str, new: str, said: str):
    assert complaint(old, new) == f"lab.yaml:{said}"
