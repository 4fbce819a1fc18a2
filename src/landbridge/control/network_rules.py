"""Say whose networks are whose, what may be changed, and which part of a list is asked for.

Every check takes a transaction or what was read in one, so that the use cases of VPCs, subnets, ports and route tables
refuse in the same words.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

from landbridge.control.network_protocols import NetworkUse
from landbridge.control.protocols import ReadTransaction
from landbridge.domain.ids import ProjectId, SubnetId, VpcId
from landbridge.domain.network_errors import FromLabFile, NoSuchSubnet, NoSuchVpc, ReservedRange, TooManyNetworks
from landbridge.domain.resources import Nic, Origin, RouteTable, Subnet, Vpc
from landbridge.domain.validation import RESERVED_RANGE

_SHOWN = 5

T = TypeVar("T", Vpc, Subnet, Nic, RouteTable)


@dataclass(frozen=True, slots=True)
class NetworkPage:
    """Which part of a list, ordered by id: what comes after `marker`, at most `limit`."""

    limit: int = 2000
    marker: str | None = None


def page_of(things: Iterable[T], page: NetworkPage) -> list[T]:
    """Return a part of things that are ordered by id; a marker need not name one of them."""
    behind = (thing for thing in things if page.marker is None or thing.id > page.marker)
    return list(islice(behind, page.limit))


def own_vpc(tx: ReadTransaction, project_id: ProjectId, id_: VpcId) -> Vpc:
    """Return a VPC of the project.

    Raises:
        NoSuchVpc: unknown, or of another project; the two cannot be told apart.
    """
    vpc = tx.vpc_of(project_id, id_)
    if vpc is None:
        raise NoSuchVpc(f"VPC {id_} does not exist in this project: list the VPCs to see their ids")
    return vpc


def own_subnet(tx: ReadTransaction, project_id: ProjectId, id_: SubnetId) -> Subnet:
    """Return a subnet of the project.

    Raises:
        NoSuchSubnet: unknown, or of another project; the two cannot be told apart.
    """
    subnet = tx.subnet_of(project_id, id_)
    if subnet is None:
        raise NoSuchSubnet(f"subnet {id_} does not exist in this project: list the subnets to see their ids")
    return subnet


def refuse_lab_file(origin: Origin, what: str) -> None:
    """Refuse to change what the lab file describes: the next start would undo it.

    Raises:
        FromLabFile: always, if the lab file made it.
    """
    if origin is Origin.LAB:
        raise FromLabFile(f"{what} comes from the lab file: change it there and start the server again")


def refuse_reserved_range(what: str, vpc: Vpc, uses: Sequence[NetworkUse]) -> None:
    """Refuse what overlaps the transit range in a VPC that takes part (contract 9.1).

    Raises:
        ReservedRange: somebody uses the VPC.
    """
    if uses:
        raise ReservedRange(
            f"{what} overlaps {RESERVED_RANGE}, which VPC {vpc.id} needs for {named_uses(uses)}: "
            "choose another range, or delete these first"
        )


def check_room(count: int, limit: int, what: str) -> None:
    """Refuse one more of a kind than a project may have made through the API.

    Raises:
        TooManyNetworks: the project has as many as it may have.
    """
    if count >= limit:
        raise TooManyNetworks(f"the project has {count} of {limit} {what}: delete some that are not needed")


def made_count(things: Iterable[Vpc | Subnet]) -> int:
    """Return how many of them were made through the API; what the lab file describes does not count."""
    return sum(thing.origin is Origin.API for thing in things)


def named(ids: Iterable[str]) -> str:
    """Return the first few ids, and whether there are more."""
    shown = list(islice(ids, _SHOWN + 1))
    return ", ".join([*shown[:_SHOWN], *(["…"] if len(shown) > _SHOWN else [])])


def named_uses(uses: Sequence[NetworkUse]) -> str:
    """Return who uses a network, the first few of them."""
    return named(f"{use.kind} {use.id}" for use in uses)
