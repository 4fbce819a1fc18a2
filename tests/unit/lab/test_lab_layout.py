"""What a lab is made into: ids that stay, records, the fabric, and what people and scripts are shown."""

import json
import re
from ipaddress import IPv4Address
from pathlib import Path

from landbridge.domain.ids import is_uuid
from landbridge.lab import (
    fabric,
    namespace_name,
    nics,
    parse_lab,
    projects,
    read_lab,
    show,
    show_table,
    subnets,
    users,
    vpcs,
)

EXAMPLE = read_lab(Path(__file__).parents[3] / "examples" / "lab.yaml")
TEMPLATE = """\
region: lab-1
projects: [{name: acme}, {name: globex}]
vpcs:
  - name: v
    project: acme
    cidr: 10.0.0.0/16
    subnets:
      - name: s
        cidr: 10.0.0.0/24
        hosts: [{name: a, ip: 10.0.0.20, vips: [10.0.0.30]}, {name: b, ip: 10.0.0.21}]
"""


def ids(text: str) -> dict[str, str]:
    return {nic.name: nic.id for nic in nics(parse_lab(text))}


def test_ids_never_change():
    shown = show(EXAMPLE)

    assert {
        "project": shown["projects"]["acme"]["project_id"],
        "domain": shown["projects"]["acme"]["domain_id"],
        "user": shown["projects"]["acme"]["users"]["acme-admin"]["user_id"],
        "vpc": shown["vpcs"]["acme-vpc"]["vpc_id"],
        "subnet": shown["subnets"]["acme-vpc/web"]["subnet_id"],
        "host": shown["hosts"]["web-1"]["port_id"],
        "vip": shown["vips"]["web-2/10.0.0.30"]["port_id"],
    } == {
        "project": "ab7eac9a78e754309adc4362aa15669b",
        "domain": "f9812c3c45c25f7a816d4debd8691d7b",
        "user": "363e7f19ecfd505890b5044e399131c9",
        "vpc": "3b2577e2-e8cd-59ed-ace6-d7441e88facb",
        "subnet": "04af2dcf-425d-5898-be89-524ad12a7e1d",
        "host": "203be9dc-2f95-51c2-b65a-9df6a5603d30",
        "vip": "9cdb7a24-b195-5c4f-9fe8-497417048677",
    }


def test_resource_ids_have_dashes_and_project_domain_and_user_ids_have_none():
    hexadecimal = re.compile(r"[0-9a-f]{32}")

    assert all(is_uuid(record.id) for record in (*vpcs(EXAMPLE), *subnets(EXAMPLE), *nics(EXAMPLE)))
    assert all(hexadecimal.fullmatch(project.id) for project in projects(EXAMPLE))
    assert all(hexadecimal.fullmatch(project.domain_id) for project in projects(EXAMPLE))
    assert all(hexadecimal.fullmatch(user.id) for user in users(EXAMPLE))


def test_all_ids_of_a_lab_differ():
    found = [record.id for make in (projects, users, vpcs, subnets, nics) for record in make(EXAMPLE)]
    found += {project.domain_id for project in projects(EXAMPLE)}

    assert len(set(found)) == len(found)


def test_another_region_has_other_ids():
    assert not set(ids(TEMPLATE).values()) & set(ids(TEMPLATE.replace("lab-1", "lab-2")).values())


def test_a_vpc_that_passes_to_another_project_is_another_vpc():
    assert not set(ids(TEMPLATE).values()) & set(ids(TEMPLATE.replace("project: acme", "project: globex")).values())


def test_a_host_keeps_its_port_id_when_its_address_changes():
    assert ids(TEMPLATE)["a"] == ids(TEMPLATE.replace("10.0.0.20", "10.0.0.99"))["a"]


def test_a_virtual_ip_keeps_its_port_id_when_another_host_carries_it():
    moved = TEMPLATE.replace(", vips: [10.0.0.30]", "").replace("ip: 10.0.0.21", "ip: 10.0.0.21, vips: [10.0.0.30]")

    assert ids(TEMPLATE)["a/10.0.0.30"] == ids(moved)["b/10.0.0.30"]


def test_projects_of_one_domain_share_its_id():
    lab = parse_lab("region: r\nprojects: [{name: a, domain: d}, {name: b, domain: d}, {name: d}]\n")

    assert len({project.domain_id for project in projects(lab)}) == 1
    assert len({project.id for project in projects(lab)}) == 3


def test_a_user_belongs_to_the_project_that_lists_it():
    auditor = next(user for user in users(EXAMPLE) if user.name == "acme-auditor")
    acme = projects(EXAMPLE)[0]

    assert (auditor.project_id, auditor.domain_id, auditor.domain_name) == (acme.id, acme.domain_id, "acme")
    assert (auditor.roles, auditor.password, auditor.access_key) == ({"reader"}, "auditor-password", None)


def test_a_users_secrets_are_not_in_its_repr():
    user = users(EXAMPLE)[0]

    assert user.password not in repr(user)
    assert user.secret_key
    assert user.secret_key not in repr(user)


def test_records_refer_to_each_other():
    vpc_ids, subnet_ids = {vpc.id for vpc in vpcs(EXAMPLE)}, {subnet.id for subnet in subnets(EXAMPLE)}
    project_by_vpc = {vpc.id: vpc.project_id for vpc in vpcs(EXAMPLE)}

    assert {subnet.vpc_id for subnet in subnets(EXAMPLE)} == vpc_ids
    assert {nic.subnet_id for nic in nics(EXAMPLE)} == subnet_ids
    assert all(nic.project_id == project_by_vpc[nic.vpc_id] for nic in nics(EXAMPLE))


def test_a_virtual_ip_is_a_nic_of_its_own():
    nic = next(nic for nic in nics(EXAMPLE) if nic.is_virtual_ip)

    assert (nic.name, nic.address) == ("web-2/10.0.0.30", IPv4Address("10.0.0.30"))
    assert [nic.name for nic in nics(EXAMPLE)] == ["web-1", "web-2", "web-2/10.0.0.30", "client-1", "client-2"]


def test_the_fabric_has_the_ids_of_the_records():
    wired = fabric(EXAMPLE)

    assert wired.region == "lab-1"
    assert [plugged.attachment.subnet_id for plugged in wired.subnets] == [subnet.id for subnet in subnets(EXAMPLE)]
    assert [plugged.attachment.vpc_id for plugged in wired.subnets] == [vpc.id for vpc in vpcs(EXAMPLE)]
    web_2 = wired.subnets[0].hosts[1]
    assert (web_2.name, web_2.namespace, web_2.mtu) == ("web-2", "lb.lab-1.web-2", 1500)
    assert (web_2.address, web_2.virtual_addresses) == (IPv4Address("10.0.0.21"), (IPv4Address("10.0.0.30"),))


def test_a_namespace_name_is_short_enough_for_the_kernel():
    assert len(namespace_name("r" * 32, "h" * 32)) <= 128


def test_show_has_the_promised_keys_and_no_secrets():
    text = json.dumps(show(EXAMPLE))
    shown = json.loads(text)

    assert shown["region"] == "lab-1"
    assert shown["projects"]["acme"].keys() >= {"project_id", "domain_id"}
    assert shown["vpcs"]["acme-vpc"].keys() >= {"vpc_id"}
    assert shown["subnets"]["acme-vpc/web"].keys() >= {"subnet_id"}
    assert shown["hosts"]["web-1"].keys() >= {"port_id", "ip", "namespace"}
    assert shown["hosts"]["web-1"]["ip"] == "10.0.0.20"
    assert shown["vips"].keys() == {"web-2/10.0.0.30"}
    assert not [word for word in ("acme-password", "acme-secret", "auditor-password") if word in text]


def test_the_table_for_people_names_every_id_of_a_network():
    table = show_table(EXAMPLE)

    records = (*projects(EXAMPLE), *vpcs(EXAMPLE), *subnets(EXAMPLE), *nics(EXAMPLE))
    assert not [record.name for record in records if record.id not in table]
    assert "acme-password" not in table
    assert table.splitlines() == [line.rstrip() for line in table.splitlines()]


def test_a_lab_without_networks_has_a_table_of_projects_only():
    assert show_table(parse_lab("region: r\nprojects: [{name: a}]\n")).splitlines()[2].split() == [
        "PROJECT", "DOMAIN", "PROJECT", "ID", "DOMAIN", "ID",
    ]  # fmt: skip
