"""The lab file's rules: each mistake is told with its line and the way out."""

from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from landbridge.lab import LabFileError, parse_lab, read_lab

EXAMPLE = Path(__file__).parents[3] / "examples" / "lab.yaml"

VALID = """\
region: lab-1
projects:
  - name: acme
    users:
      - {name: acme-admin, password: hunter2, access_key: ACMEKEY, secret_key: acmesecret}
  - name: globex
    domain: conglomerate
vpcs:
  - name: acme-vpc
    project: acme
    cidr: 10.0.0.0/16
    routes: [{destination: 192.168.0.0/24}]
    subnets:
      - name: web
        cidr: 10.0.0.0/24
        hosts:
          - {name: web-1, ip: 10.0.0.20}
          - {name: web-2, ip: 10.0.0.21, vips: [10.0.0.30], mtu: 9000}
      - name: small
        cidr: 10.0.1.0/29
        gateway: 10.0.1.6
        mtu: 1400
        hosts:
          - {name: db-1, ip: 10.0.1.1}
"""


def complaint(old: str, new: str) -> str:
    """Return what is said when `old`, which is there once, is replaced by `new`."""
    assert VALID.count(old) == 1
    with pytest.raises(LabFileError) as caught:
        parse_lab(VALID.replace(old, new))
    return str(caught.value)


def test_defaults_are_filled_in():
    lab = parse_lab(VALID)

    acme, globex = lab.projects
    web, small = lab.vpcs[0].subnets
    assert (acme.domain, globex.domain, globex.users) == ("acme", "conglomerate", ())
    assert acme.users[0].roles == {"admin"}
    assert lab.vpcs[0].routes == (IPv4Network("192.168.0.0/24"),)
    assert (web.gateway, web.mtu) == (IPv4Address("10.0.0.1"), 1500)
    assert [(host.name, host.mtu) for host in web.hosts] == [("web-1", 1500), ("web-2", 9000)]
    assert web.hosts[1].vips == (IPv4Address("10.0.0.30"),)
    assert (small.gateway, small.mtu, small.hosts[0].mtu) == (IPv4Address("10.0.1.6"), 1400, 1400)


def test_the_example_is_valid_and_its_vpcs_share_their_ranges():
    lab = read_lab(EXAMPLE)

    assert [project.name for project in lab.projects] == ["acme", "globex"]
    assert {vpc.cidr for vpc in lab.vpcs} == {IPv4Network("10.0.0.0/16")}
    assert {subnet.cidr for vpc in lab.vpcs for subnet in vpc.subnets} == {IPv4Network("10.0.0.0/24")}


def test_the_lab_file_of_the_design_is_valid(tmp_path: Path):
    file = tmp_path / "lab.yaml"
    file.write_text(VALID.replace("secret_key: acmesecret}", "secret_key: acmesecret, roles: [admin, reader]}"))

    assert read_lab(str(file)).projects[0].users[0].roles == {"admin", "reader"}


def test_plain_values_are_taken_as_they_are_written():
    lab = parse_lab(VALID.replace("hunter2", "0123").replace("web-1", "no").replace("acmesecret", "1e3"))

    assert lab.projects[0].users[0].password == "0123"
    assert lab.projects[0].users[0].secret_key == "1e3"
    assert lab.vpcs[0].subnets[0].hosts[0].name == "no"


def test_a_list_without_a_value_is_empty():
    assert parse_lab("region: r\nprojects: [{name: p}]\nvpcs:\n").vpcs == ()


def test_a_subnet_may_overlap_the_transit_range_because_the_api_refuses_to_use_it():
    lab = parse_lab(
        "region: r\nprojects: [{name: p}]\n"
        "vpcs: [{name: v, project: p, cidr: 198.19.0.0/16, subnets: [{name: s, cidr: 198.19.128.0/24}]}]\n"
    )

    assert lab.vpcs[0].subnets[0].cidr == IPv4Network("198.19.128.0/24")


def test_a_user_name_may_be_an_address_and_differ_by_domain_only():
    lab = parse_lab(
        "region: r\nprojects:\n"
        "- {name: a, users: [{name: jo@example.com, password: x}]}\n"
        "- {name: b, users: [{name: jo@example.com, password: x}]}\n"
    )

    assert [user.name for project in lab.projects for user in project.users] == ["jo@example.com"] * 2


# Every row: what is replaced, by what, and the complaint without the file's name.
MISTAKES = [
    (
        "region: lab-1",
        "region: lab.1",
        (
            "1: lab: region lab.1 must be 1 to 32 letters, digits, - and _ that begin "
            "with a letter or digit, without a dot; write region: lab-1"
        ),
    ),
    ("region: lab-1\n", "", "1: lab: region is missing; write region: lab-1"),
    (
        "region: lab-1",
        "region:",
        ("1: lab: region has no value; write region: lab-1 (in quotes if it begins with a special character)"),
    ),
    ("region: lab-1", "region: [lab-1]", "1: lab: region must be a single value, not a list; write region: lab-1"),
    ("region: lab-1", "region: lab-1\nregion: lab-2", "2: the key region is already on line 1; write it once"),
    (
        "region: lab-1",
        "region: lab-1\nmachines: []",
        ("2: lab: there is no key machines; write one of region, projects, vpcs, public, public_services, operators"),
    ),
    ("projects:", "project:", "2: lab: there is no key project; write projects"),
    ("  - name: globex", "  - name: acme", "6: project acme: name acme is already on line 3; write another one"),
    (
        "  - name: globex",
        "  - name: glo/bex",
        (
            "6: project glo/bex: name glo/bex must be 1 to 32 letters, digits, - "
            "and _ that begin with a letter or digit; write name: acme"
        ),
    ),
    (
        "domain: conglomerate",
        "domain: -x",
        (
            "7: project globex: domain -x must be 1 to 32 letters, digits, - and _ "
            "that begin with a letter or digit; write domain: acme"
        ),
    ),
    (
        "domain: conglomerate",
        "domain: acme\n    users: [{name: acme-admin, password: x}]",
        ("8: user acme-admin: in domain acme the name acme-admin is already on line 5; write another one"),
    ),
    (
        "domain: conglomerate",
        "users: [{name: jo, password: x, access_key: ACMEKEY, secret_key: y}]",
        ("7: user jo: access_key ACMEKEY is already on line 5; write another one"),
    ),
    (
        ", secret_key: acmesecret",
        "",
        ("5: user acme-admin: access_key stands without secret_key; write both keys or neither"),
    ),
    (
        "access_key: ACMEKEY, ",
        "",
        ("5: user acme-admin: secret_key stands without access_key; write both keys or neither"),
    ),
    (
        "ACMEKEY",
        '"a, b"',
        ("5: user acme-admin: access_key must be 1 to 128 letters, digits, - _ and .; write access_key: ACMEKEY"),
    ),
    (
        "name: acme-admin",
        'name: "acme admin"',
        ("5: user: name acme admin must be 1 to 64 ASCII characters without spaces; write name: acme-admin"),
    ),
    (
        "hunter2",
        '""',
        (
            "5: user acme-admin: password has no value; write password: a secret (in quotes if it begins "
            "with a special character)"
        ),
    ),
    (
        "secret_key: acmesecret",
        "secret_key: acmesecret, roles: [admn]",
        ("5: user acme-admin: there is no role admn; write admin"),
    ),
    (
        "secret_key: acmesecret",
        "secret_key: acmesecret, roles: [king]",
        ("5: user acme-admin: there is no role king; write reader, member or admin"),
    ),
    (
        "secret_key: acmesecret",
        "secret_key: acmesecret, roles: []",
        ("5: user acme-admin: roles is empty; write roles: [admin] or leave it out"),
    ),
    (
        "secret_key: acmesecret",
        "secret_key: acmesecret, roles: [admin, admin]",
        ("5: user acme-admin: role admin is already on line 5; write another one"),
    ),
    (
        "secret_key: acmesecret",
        "secret_key: acmesecret, roles: admin",
        ("5: user acme-admin: roles must be a list, not a single value; write roles: [admin]"),
    ),
    ("project: acme", "project: acm", "10: vpc acme-vpc: there is no project acm in this file; write project: acme"),
    ("10.0.0.0/16", "10.0.0.0", "11: vpc acme-vpc: cidr 10.0.0.0 is no IPv4 range; write one such as 10.0.0.0/16"),
    ("10.0.0.0/16", "10.0.0.1/16", "11: vpc acme-vpc: cidr 10.0.0.1/16 begins inside its range; write 10.0.0.0/16"),
    ("10.0.0.0/16", "fd00::/16", "11: vpc acme-vpc: cidr fd00::/16 is no IPv4 range; write one such as 10.0.0.0/16"),
    (
        "10.0.0.0/16",
        "127.0.0.0/16",
        (
            "11: vpc acme-vpc: cidr 127.0.0.0/16 must be /8 to /29 of ordinary unicast "
            "addresses; write a range such as 10.0.0.0/16"
        ),
    ),
    (
        "10.0.0.0/16",
        "0.0.0.0/0",
        (
            "11: vpc acme-vpc: cidr 0.0.0.0/0 must be /8 to /29 of ordinary unicast addresses; "
            "write a range such as 10.0.0.0/16"
        ),
    ),
    (
        "{destination: 192.168.0.0/24}",
        "{to: 192.168.0.0/24}",
        ("12: vpc acme-vpc: route: there is no key to; write one of destination"),
    ),
    (
        "{destination: 192.168.0.0/24}",
        "192.168.0.0/24",
        ("12: vpc acme-vpc: route must have keys with values; write destination: 192.168.0.0/24"),
    ),
    (
        "{destination: 192.168.0.0/24}",
        "{destination: 10.9.0.0/16}, {destination: 10.9.0.0/16}",
        ("12: vpc acme-vpc: route: destination 10.9.0.0/16 is already on line 12; write another one"),
    ),
    (
        "10.0.0.0/24",
        "10.1.0.0/24",
        ("15: subnet web: cidr 10.1.0.0/24 is outside the VPC's 10.0.0.0/16; write a range such as 10.0.0.0/24"),
    ),
    ("10.0.1.0/29", "10.0.1.0/30", "20: subnet small: cidr 10.0.1.0/30 is too small; write a range of /29 or larger"),
    (
        "10.0.1.0/29",
        "10.0.0.0/29",
        ("21: subnet small: gateway 10.0.1.6 is no host address of 10.0.0.0/29; write an address such as 10.0.0.1"),
    ),
    (
        "10.0.0.0/24",
        "10.0.0.0/23",
        (
            "20: subnet small: cidr 10.0.1.0/29 overlaps 10.0.0.0/23 of subnet web; write a "
            "range that no other subnet of the VPC uses"
        ),
    ),
    ("name: small", "name: web", "19: subnet web: name web is already on line 14; write another one"),
    (
        "gateway: 10.0.1.6",
        "gateway: 10.0.1.7",
        ("21: subnet small: gateway 10.0.1.7 is no host address of 10.0.1.0/29; write an address such as 10.0.1.1"),
    ),
    ("mtu: 1400", "mtu: 575", "22: subnet small: mtu 575 is no number from 576 to 9000; write mtu: 1500"),
    ("mtu: 9000", "mtu: 9001", "18: host web-2: mtu 9001 is no number from 576 to 9000; write mtu: 1500"),
    ("mtu: 9000", "mtu: big", "18: host web-2: mtu big is no number from 576 to 9000; write mtu: 1500"),
    (
        "ip: 10.0.0.20",
        "ip: 10.0.1.20",
        ("17: host web-1: ip 10.0.1.20 is outside subnet 10.0.0.0/24; write an address such as 10.0.0.20"),
    ),
    (
        "ip: 10.0.0.20",
        "ip: 10.0.0.0",
        ("17: host web-1: ip 10.0.0.0 is the network's own address; write an address such as 10.0.0.20"),
    ),
    (
        "ip: 10.0.0.20",
        "ip: 10.0.0.255",
        ("17: host web-1: ip 10.0.0.255 is the broadcast address; write an address such as 10.0.0.20"),
    ),
    (
        "ip: 10.0.0.20",
        "ip: 10.0.0.1",
        ("17: host web-1: ip 10.0.0.1 is the gateway; write an address such as 10.0.0.20"),
    ),
    (
        "ip: 10.0.0.21",
        "ip: 10.0.0.20",
        ("18: host web-2: ip 10.0.0.20 is already on line 17; write an address such as 10.0.0.21"),
    ),
    (
        "vips: [10.0.0.30]",
        "vips: [10.0.0.21]",
        ("18: host web-2: virtual IP 10.0.0.21 is already on line 18; write an address such as 10.0.0.22"),
    ),
    (
        "vips: [10.0.0.30]",
        "vips: [{ip: 10.0.0.30}]",
        ("18: host web-2: vips must list single values, not keys with values; write vips: [10.0.0.30]"),
    ),
    ("ip: 10.0.1.1", "ip: 10.0.1.6", "24: host db-1: ip 10.0.1.6 is the gateway; write an address such as 10.0.1.1"),
    ("ip: 10.0.0.20", "ip: web", "17: host web-1: ip web is no IPv4 address; write one such as 10.0.0.20"),
    ("{name: web-1, ip: 10.0.0.20}", "{name: web-1}", "17: host web-1: ip is missing; write ip: 10.0.0.20"),
    ("{name: web-1, ip: 10.0.0.20}", "web-1", "17: host must have keys with values; write name: web-1, ip: 10.0.0.20"),
    ("{name: web-1, ip: 10.0.0.20}", "{name: web-1, ipp: 10.0.0.20}", "17: host web-1: there is no key ipp; write ip"),
    ("name: db-1", "name: web-1", "24: host web-1: name web-1 is already on line 17; write another one"),
]


@pytest.mark.parametrize(("old", "new", "said"), MISTAKES, ids=[f"{old}->{new}"[:60] for old, new, _ in MISTAKES])
def test_a_mistake_is_told_with_its_line_and_the_way_out(old: str, new: str, said: str):
    assert complaint(old, new) == f"lab.yaml:{said}"


def test_vpc_names_are_unique_in_the_file():
    second = VALID + "  - {name: acme-vpc, project: globex, cidr: 10.0.0.0/16}\n"

    with pytest.raises(LabFileError, match=r"^lab.yaml:25: vpc acme-vpc: name acme-vpc is already on line 9; write"):
        parse_lab(second)


def test_a_full_subnet_is_refused_and_the_message_shows_the_way_out():
    hosts = "\n          ".join(f"- {{name: h{n}, ip: 10.0.1.{n}}}" for n in (1, 2, 3, 4, 5))

    said = complaint("- {name: db-1, ip: 10.0.1.1}", f"{hosts}\n          - {{name: h6, ip: 10.0.1.5}}")

    assert said == "lab.yaml:29: host h6: ip 10.0.1.5 is already on line 28; write a larger subnet"


def test_a_secret_is_in_no_message_and_no_repr():
    secret = "s3cr3t"
    mistakes = [
        ("password: hunter2", f"password: [{secret}]"),
        ("password: hunter2", f"password: !{secret} x"),
        ("password: hunter2", f"password: !{secret}!x"),
        ("password: hunter2", f"password: &{secret}"),
        ("password: hunter2", f"password: *{secret}"),
        ("password: hunter2", f"password: x, {secret}"),
        ("password: hunter2", f'password: "{secret}'),
        ("password: hunter2", f'password: "\\ud800{secret}"'),
        ("password: hunter2", f"pasword: {secret}"),
        ("secret_key: acmesecret", f"secret: {secret}"),
    ]

    assert [secret in complaint(old, new) for old, new in mistakes] == [False] * len(mistakes)
    assert secret not in repr(parse_lab(VALID.replace("hunter2", secret).replace("acmesecret", secret)))
