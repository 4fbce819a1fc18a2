"""Work inside the network namespaces that belong to a state directory, with or without root.

`python inside.py ORDER STATE …`, where ORDER is one of

- `exec STATE NAMESPACE COMMAND…`: become a command in one of them;
- `names STATE PREFIX`: print which there are;
- `set STATE PREFIX NAME=VALUE…`: write kernel settings into all of them;
- `plain STATE PREFIX`: make the network of the peers;
- `remove STATE PREFIX`: take everything of that prefix away;
- `release STATE -`: end what keeps them, should an ordinary user have made them.

A process of its own each time: only a fresh process may enter a user namespace.
"""

import os
import sys
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path

from landbridge.dataplane.model import LINK_MTU
from landbridge.drivers.linux import sysctl, user_namespace
from landbridge.drivers.linux.namespaces import Namespaces
from landbridge.drivers.linux.netlink import End, Netlink, Route

PLACES = CLIENT, NEAR, FAR, BACKEND, SWITCH = "client", "near", "far", "backend", "switch"
CLIENT_ADDRESS, BACKEND_ADDRESS = "10.1.0.10", "10.2.0.20"
NEAR_ADDRESS, FAR_ADDRESS = "10.1.0.1", "10.2.0.1"
"""Of the two routers, in the subnets of client and backend."""

_MTU = 1500
_LOOPBACK = 1
_SETTINGS = {
    "ipv4/conf/all/rp_filter": "0",
    "ipv4/conf/default/rp_filter": "0",
    "ipv4/conf/all/send_redirects": "0",
    "ipv4/conf/default/send_redirects": "0",
    **sysctl.WITHOUT_IPV6,
}


def main(order: str, state: str, name: str, *words: str) -> None:
    """Carry out one order."""
    if order == "release":
        user_namespace.release(Path(state))
        return
    namespaces = user_namespace.enter(Path(state))
    if order == "exec":
        user_namespace.enter_and_exec(namespaces, name, words)
    settings = dict(word.split("=", 1) for word in words)
    if order == "plain":
        make_plain_network(namespaces, name)
    for found in namespaces.names():
        if found.startswith(name):
            if order == "remove":
                namespaces.remove(found)
            elif order == "set":
                namespaces.inside(found, lambda: sysctl.write(settings))
            elif order == "names":
                sys.stdout.write(f"{found}\n")


def make_plain_network(namespaces: Namespaces, prefix: str) -> None:
    """Make two subnets with a router each and a link between the routers; each subnet is a bridge, as in a lab.

    A packet passes as many interfaces, bridges and routers as between two VPCs of a lab, and nothing looks at it.
    """
    for place in PLACES:
        settings = dict(_SETTINGS)
        if place in {NEAR, FAR}:
            settings["ipv4/ip_forward"] = "1"
        namespaces.create(prefix + place, lambda settings=settings: _prepare(settings))
    inside = {place: namespaces.inside(prefix + place, Netlink) for place in PLACES}
    for host, host_address, router, router_address in (
        (CLIENT, CLIENT_ADDRESS, NEAR, NEAR_ADDRESS),
        (BACKEND, BACKEND_ADDRESS, FAR, FAR_ADDRESS),
    ):
        bridge = f"br-{host}"
        inside[SWITCH].add_bridge(bridge)
        for place, address in ((host, host_address), (router, router_address)):
            _plug_in(namespaces, prefix, inside, place, bridge)
            inside[place].add_address(_index(inside[place], "subnet"), IPv4Interface(f"{address}/24"))
        inside[host].set_route(_route("0.0.0.0/0", inside[host], "subnet", router_address))
    descriptor = namespaces.open(prefix + FAR)
    inside[NEAR].add_veth(End("link", LINK_MTU), End("link", LINK_MTU, namespace=descriptor))
    os.close(descriptor)
    inside[FAR].set_link(_index(inside[FAR], "link"))
    inside[NEAR].add_address(_index(inside[NEAR], "link"), IPv4Interface("10.3.0.1/24"))
    inside[FAR].add_address(_index(inside[FAR], "link"), IPv4Interface("10.3.0.2/24"))
    inside[NEAR].set_route(_route("10.2.0.0/24", inside[NEAR], "link", "10.3.0.2"))
    inside[FAR].set_route(_route("10.1.0.0/24", inside[FAR], "link", "10.3.0.1"))
    for netlink in inside.values():
        netlink.close()


def _prepare(settings: dict[str, str]) -> None:
    netlink = Netlink()
    netlink.set_link(_LOOPBACK)
    netlink.close()
    sysctl.write(settings)


def _plug_in(namespaces: Namespaces, prefix: str, inside: dict[str, Netlink], place: str, bridge: str) -> None:
    switch, port = inside[SWITCH], f"port-{place}"
    descriptor = namespaces.open(prefix + SWITCH)
    inside[place].add_veth(End("subnet", _MTU), End(port, _MTU, namespace=descriptor))
    os.close(descriptor)
    switch.set_link(_index(switch, port), master=_index(switch, bridge))


def _route(destination: str, netlink: Netlink, interface: str, gateway: str) -> Route:
    return Route(IPv4Network(destination), _index(netlink, interface), IPv4Address(gateway))


def _index(netlink: Netlink, name: str) -> int:
    found = netlink.find_link(name)
    assert found is not None, name
    return found.index


if __name__ == "__main__":
    main(*sys.argv[1:])
