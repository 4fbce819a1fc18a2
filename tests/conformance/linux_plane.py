"""Try the Linux driver on real network namespaces, made once for all tests."""

import json
import os
import re
import subprocess
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

from conformance import topology
from conformance.linux_probe import LinuxProbe
from conformance.world import Sabotage
from landbridge.dataplane.driver import finish
from landbridge.dataplane.model import Attachment
from landbridge.drivers.linux.driver import LinuxDriver
from landbridge.drivers.linux.engines import Engine
from landbridge.drivers.linux.lab_network import LabNetwork
from landbridge.drivers.linux.namespaces import Namespaces

IGNORE_RESETS = """\
table ip stubborn {
	chain take { type filter hook input priority filter; policy accept; tcp flags & rst == rst drop; }
}
"""
_OURS = re.compile(r"lb\.conf-(?P<process>\d+)\..*")


class LinuxPlane:
    def __init__(self, namespaces: Namespaces) -> None:
        remove_what_dead_runs_left(namespaces, _OURS)
        self._namespaces = namespaces
        self._region = f"conf-{os.getpid()}"
        self._instance = f"instance-of-{self._region}"
        self._fabric = topology.fabric(self._region)
        self._lab = LabNetwork(namespaces, self._instance)
        try:
            self._lab.wire(self._fabric)
            for name in topology.STUBBORN:
                self.run_inside(self.namespace_of(name), ["nft", "-f", "-"], IGNORE_RESETS)
        except BaseException:
            self._lab.remove_all()
            raise
        self.probe = LinuxProbe(lambda name: namespaces.path(self.namespace_of(name)))
        self.driver = self.new_driver()
        assert finish(self.driver.survey(())) == {}

    def new_driver(
        self,
        instance: str | None = None,
        engines: Collection[Engine] = (),
        before_effect: Callable[[], None] = lambda: None,
    ) -> LinuxDriver:
        return LinuxDriver(
            self._namespaces, instance or self._instance, self._region, engines, before_effect=before_effect
        )

    @property
    def namespaces(self) -> Namespaces:
        return self._namespaces

    @property
    def instance(self) -> str:
        return self._instance

    @property
    def region(self) -> str:
        return self._region

    @property
    def edge_is_gateway(self) -> bool:
        return True

    def attachment(self, subnet_name: str) -> Attachment:
        return topology.attachment(subnet_name)

    def namespace_of(self, host_name: str) -> str:
        return next(
            host.namespace for subnet in self._fabric.subnets for host in subnet.hosts if host.name == host_name
        )

    def run_inside(self, namespace: str, command: list[str], text: str = "") -> str:
        """Run a program inside a namespace, as an operator would, and return what it printed."""
        done = subprocess.run(
            ["nsenter", f"--net={self._namespaces.path(namespace)}", *command],
            input=text,
            capture_output=True,
            text=True,
            check=False,
            timeout=10,
        )
        assert done.returncode == 0, f"{command}: {done.stderr}"
        return done.stdout

    def edges(self) -> list[str]:
        return [name for name in self._namespaces.names() if name.startswith(f"lb.{self._region}.edge.")]

    def dump(self) -> str:
        return "\n".join(
            self.run_inside(edge, command)
            for edge in self.edges()
            for command in (
                ["nft", "-s", "list", "ruleset"],
                ["ip", "-4", "route", "show", "table", "all"],
                ["ip", "-4", "-o", "address"],
                ["ip", "-o", "link"],
            )
        )

    def sabotages(self) -> list[Sabotage]:
        return [sabotage for edge in self.edges() for sabotage in self._sabotages_of(edge)]

    def _sabotages_of(self, edge: str) -> Iterator[Sabotage]:
        def doing(what: str, *command: str) -> Sabotage:
            return Sabotage(f"{what} in {edge}", lambda: self.run_inside(edge, list(command)))

        for item in self._list(edge, "nft", "-j", "list", "ruleset")["nftables"]:
            listed: dict[str, Any] | None = item.get("set") or item.get("map")
            if listed is None or listed["name"] in {"routed", "guests"}:
                continue  # say of a subnet's interface what it is, and go and come with it
            for element in listed.get("elem", ()):
                key = _key(element[0] if "map" in item else element)
                place = f"{listed['family']} {listed['table']} {listed['name']}"
                yield doing(f"{place} losing {key}", "nft", f"delete element {place} {{ {key} }}")
        for route in self._list(edge, "ip", "-j", "-4", "route"):
            if route.get("protocol") != "kernel" and route["dst"] != "default":
                yield doing(f"losing the route to {route['dst']}", "ip", "route", "delete", route["dst"])
        for interface in self._list(edge, "ip", "-j", "-4", "address"):
            for address in interface.get("addr_info", ()):
                if address["prefixlen"] == 32:
                    where = (f"{address['local']}/32", "dev", interface["ifname"])
                    yield doing(f"losing the address {address['local']}", "ip", "address", "delete", *where)
        for interface in self._list(edge, "ip", "-j", "link"):
            if interface["ifname"].startswith("link-"):
                yield doing(f"losing {interface['ifname']}", "ip", "link", "delete", interface["ifname"])
                yield doing(f"downing {interface['ifname']}", "ip", "link", "set", interface["ifname"], "down")

    def _list(self, edge: str, *command: str) -> Any:
        return json.loads(self.run_inside(edge, list(command)) or "[]")

    def close(self) -> None:
        self.driver.close()
        self.probe.close()
        self._lab.remove_all()


def _key(element: Any) -> str:
    """Return an element's key as nft wants it written."""
    if not isinstance(element, dict):
        return str(element)
    if "elem" in element:
        return _key(element["elem"]["val"])
    if "concat" in element:
        return " . ".join(_key(part) for part in element["concat"])
    if "prefix" in element:
        return f"{element['prefix']['addr']}/{element['prefix']['len']}"
    raise AssertionError(f"a kind of key that these tests do not know: {element}")


def remove_what_dead_runs_left(namespaces: Namespaces, ours: re.Pattern[str]) -> None:
    """Remove namespaces of test runs that ended without cleaning up; `ours` finds their process in a name."""
    for name in namespaces.names():
        found = ours.fullmatch(name)
        if found is not None and not Path("/proc", found["process"]).exists():
            namespaces.remove(name)
