"""Say whose a network namespace is, by a label that travels inside it.

The label is the alias of the namespace's loopback interface, set before the namespace can be seen. What carries
another instance's label, or none, is never changed or removed.
"""

from collections.abc import Callable
from contextlib import suppress

from landbridge.domain.ids import VpcId
from landbridge.drivers.linux.namespaces import Namespaces, NoSuchNamespace
from landbridge.drivers.linux.netlink import Netlink

PREFIX = "lb."
"""What the names of all our namespaces begin with."""

_LABEL = "landbridge instance="
_LOOPBACK = 1


class NamespaceTaken(Exception):
    """A network namespace of a name that we need is not ours.

    `owner` is the other instance, None when the namespace is not Landbridge's at all.
    """

    def __init__(self, name: str, owner: str | None) -> None:
        whose = "carries no label of ours" if owner is None else f"belongs to the landbridge instance {owner}"
        super().__init__(f"network namespace {name} {whose}: choose another region, or remove it")
        self.name = name
        self.owner = owner


def edge_namespace(region: str, vpc_id: VpcId) -> str:
    """Return the name of the namespace that is the edge of a VPC."""
    return edge_prefix(region) + vpc_id


def edge_prefix(region: str) -> str:
    """Return what the names of all edges of a region begin with."""
    return f"{PREFIX}{region}.edge."


def switch_namespace(region: str) -> str:
    """Return the name of the namespace with the bridges of the lab's subnets."""
    return f"lb.{region}.lab.switch"


def owner(namespaces: Namespaces, name: str) -> str | None:
    """Return the instance that a namespace belongs to, None if it is not Landbridge's.

    Raises:
        NoSuchNamespace: it is not there, or not any more.
    """
    netlink = namespaces.inside(name, Netlink)
    try:
        loopback = netlink.find_link("lo")
    finally:
        netlink.close()
    alias = loopback.alias if loopback else ""
    return alias.removeprefix(_LABEL) if alias.startswith(_LABEL) else None


def all_of(namespaces: Namespaces, instance: str, prefix: str = PREFIX) -> list[str]:
    """Return the names of an instance's namespaces, sorted; those of others may come and go meanwhile."""
    found: list[str] = []
    for name in namespaces.names():
        if name.startswith(prefix):
            with suppress(NoSuchNamespace):
                if owner(namespaces, name) == instance:
                    found.append(name)
    return found


def is_ours(namespaces: Namespaces, name: str, instance: str) -> bool:
    """Say whether there is such a namespace and it is ours. Raises NamespaceTaken if it is somebody else's."""
    try:
        found = owner(namespaces, name)
    except NoSuchNamespace:
        return False
    if found != instance:
        raise NamespaceTaken(name, found)
    return True


def create(namespaces: Namespaces, name: str, instance: str, prepare: Callable[[], None]) -> None:
    """Make a namespace of ours, with its loopback up; `prepare` runs inside before it can be seen."""

    def mark_and_prepare() -> None:
        netlink = Netlink()
        try:
            netlink.set_link(_LOOPBACK, alias=_LABEL + instance)
        finally:
            netlink.close()
        prepare()

    namespaces.create(name, mark_and_prepare)
