"""The tables `[[attachments]]` of the settings file: what they may say, and what is told about mistakes."""

from ipaddress import IPv4Address
from pathlib import Path

import pytest

from landbridge.dataplane.bridging import BridgedSubnet
from landbridge.dataplane.model import Bridge
from landbridge.domain.errors import OperatorError
from landbridge.domain.ids import SubnetId
from landbridge.settings import read_settings

SUBNET, OTHER = "6f1c0f9e-93fd-4b35-8a7e-0d0f4f6f6f01", "6f1c0f9e-93fd-4b35-8a7e-0d0f4f6f6f02"
SHORTEST = f'[[attachments]]\nsubnet = "{SUBNET}"\nbridge = "br-acme"\nedge = "10.0.0.5"\n'


def settings_of(tmp_path: Path, text: str) -> tuple[BridgedSubnet, ...]:
    path = tmp_path / "landbridge.toml"
    path.write_text(text)
    return read_settings(path).attachments


def test_subnet_bridge_and_edge_are_enough(tmp_path: Path):
    found = settings_of(tmp_path, SHORTEST)

    assert found == (BridgedSubnet(SubnetId(SUBNET), Bridge("br-acme", IPv4Address("10.0.0.5"))),)


def test_everything_may_be_said(tmp_path: Path):
    text = SHORTEST + 'vlan = 12\nmtu = 1450\nreturn = "masquerade"\nnamespace = "fabric"\n'

    (found,) = settings_of(tmp_path, text)

    assert found.mtu == 1450
    assert found.bridge == Bridge("br-acme", IPv4Address("10.0.0.5"), "fabric", 12, masquerade=True)


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        (f'subnet = "{SUBNET}"', 'subnet = "web"', "subnet's id, a UUID"),
        (f'subnet = "{SUBNET}"\n', "", "subnet is missing"),
        ('bridge = "br-acme"\n', "", "bridge is missing"),
        ('edge = "10.0.0.5"\n', "", "edge is missing"),
        ("br-acme", "a-name-too-long-", "at most 15 characters"),
        ("br-acme", "br/acme", "the name of a bridge"),
        ("br-acme", "br acme", "the name of a bridge"),
        ('"br-acme"', '""', "the name of a bridge"),
        ('"br-acme"', "7", "bridge must be a text"),
        ("10.0.0.5", "10.0.0.0/24", "such as 10.0.0.5"),
        ("edge =", "vlan = 0\nedge =", "from 1 to 4094"),
        ("edge =", "vlan = 4095\nedge =", "from 1 to 4094"),
        ("edge =", "vlan = true\nedge =", "from 1 to 4094"),
        ("edge =", "mtu = 100\nedge =", "from 576 to 65535"),
        ("edge =", 'return = "nat"\nedge =', "route or masquerade"),
        ("edge =", 'namespace = "a/b"\nedge =', "ip netns list"),
        ("edge =", 'namespace = "lb.lab-1.lab.switch"\nedge =', "Landbridge's own"),
        ("edge =", 'gateway = "10.0.0.1"\nedge =', "gateway is no key"),
        ("[[attachments]]", "[attachments]", "a list of tables"),
        ("[[attachments]]", 'driver = "memory"\n[[attachments]]', 'write driver = "linux"'),
    ],
)
def test_a_mistake_is_named_with_what_to_write(tmp_path: Path, before: str, after: str, message: str):
    assert before in SHORTEST

    with pytest.raises(OperatorError, match=message):
        settings_of(tmp_path, SHORTEST.replace(before, after))


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (SHORTEST.replace("10.0.0.5", "10.0.0.6"), "has two attachments"),
        (SHORTEST.replace(SUBNET, OTHER), "have one edge address, 10.0.0.5, in one bridge"),
    ],
)
def test_two_attachments_may_not_contradict_each_other(tmp_path: Path, second: str, message: str):
    with pytest.raises(OperatorError, match=message):
        settings_of(tmp_path, SHORTEST + second)


def test_one_edge_address_may_be_in_two_vlans_of_a_bridge(tmp_path: Path):
    second = SHORTEST.replace(SUBNET, OTHER) + "vlan = 12\n"

    assert len(settings_of(tmp_path, SHORTEST + second)) == 2
