"""Create, list, show, change and delete ports: NICs and virtual IPs of the built-in directory.

In a lab a port is a host: its namespace is there before the answer to a creation is given. An address is in one ledger
with the endpoints' addresses, and is given back only when nothing answers at it any more.
"""

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv4Network

from landbridge.control.former_backends import forget_former_places
from landbridge.control.network_protocols import NetworkWiring
from landbridge.control.network_rules import (
    NetworkPage,
    check_room,
    named_uses,
    own_subnet,
    page_of,
    refuse_lab_file,
)
from landbridge.control.protocols import Clock, ReadTransaction, Store, WriteTransaction
from landbridge.control.settlements import Wakeups
from landbridge.dataplane.fabric import Host, hosts_of
from landbridge.domain.errors import AddressOutsideSubnet, AddressTaken, SubnetFull
from landbridge.domain.ids import IdSource, NicId, ProjectId, SubnetId
from landbridge.domain.network_errors import (
    InvalidPort,
    NoFreePortAddress,
    NoSuchPort,
    PortAddressOutsideSubnet,
    PortAddressTaken,
    PortInUse,
    WiringFailed,
)
from landbridge.domain.networking import (
    PORT_LIMIT,
    check_address,
    check_port_name,
    host_name,
    mac_of,
    other_host_name,
)
from landbridge.domain.resources import AddressPair, Caller, Nic, Origin, Subnet

VIP_OWNER = "neutron:VIP_PORT"
"""The device_owner that makes a port a virtual IP."""

ADDRESS_PAIR_LIMIT = 100

_MAC = re.compile(r"[0-9A-Fa-f]{2}([:-][0-9A-Fa-f]{2}){5}")


@dataclass(frozen=True, slots=True)
class NewNic:
    """What somebody asks for, types checked, rules not yet."""

    subnet_id: SubnetId
    name: str = ""
    wanted_address: str | None = None
    device_owner: str = ""
    address_pairs: Sequence[tuple[str, str]] = ()
    """Address or range, and MAC."""


@dataclass(frozen=True, slots=True)
class NicChanges:
    """What is to change; None leaves it as it is."""

    name: str | None = None
    address_pairs: Sequence[tuple[str, str]] | None = None


@dataclass(frozen=True, slots=True)
class NicQuery:
    """Filters of a list of ports; None or empty does not filter."""

    project_id: ProjectId
    ids: Sequence[str] = ()
    name: str | None = None
    subnet_id: str | None = None
    mac_address: str | None = None
    device_owner: str | None = None
    addresses: Sequence[str] = ()
    is_virtual_ip: bool | None = None
    page: NetworkPage = field(default_factory=NetworkPage)

    def matches(self, nic: Nic) -> bool:
        """Say whether a port of the project belongs into the list."""
        return (
            (not self.ids or nic.id in self.ids)
            and self.name in {None, nic.name}
            and self.subnet_id in {None, nic.subnet_id}
            and self.mac_address in {None, mac_of(nic.id)}
            and self.device_owner in {None, nic.device_owner}
            and (not self.addresses or str(nic.address) in self.addresses)
            and self.is_virtual_ip in {None, nic.is_virtual_ip}
        )


@dataclass(frozen=True, slots=True)
class _Change:
    """One port that changed, and the hosts of its subnet before and after."""

    nic: Nic
    subnet: Subnet
    before: Mapping[NicId, Host]
    after: Mapping[NicId, Host]
    was_backend: bool = False
    """Services had it as a former backend: connections that were opened there end."""


class Nics:
    """The use cases of ports."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        ids: IdSource,
        wakeups: Wakeups,
        wiring: NetworkWiring,
        turn: asyncio.Lock,
        region: str,
    ) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids
        self._wakeups = wakeups
        self._wiring = wiring
        self._turn = turn
        self._region = region

    async def create(self, caller: Caller, wish: NewNic) -> Nic:
        """Store a new port; in a lab its host is there when this returns.

        Raises:
            NoSuchSubnet: unknown, or of another project.
            InvalidPort: a field is wrong.
            PortAddressTaken, PortAddressOutsideSubnet, NoFreePortAddress: it cannot have an address.
            TooManyNetworks: the project has as many ports as it may have.
            WiringFailed: the lab could not wire it; it has not been made.
        """
        nic_id = NicId(self._ids.new())
        name = check_port_name(wish.name, InvalidPort)
        if wish.device_owner not in {"", VIP_OWNER}:
            raise InvalidPort(f"device_owner must be {VIP_OWNER}, for a virtual IP, or absent")
        is_virtual_ip = wish.device_owner == VIP_OWNER
        wanted = check_address(wish.wanted_address, "ip_address", InvalidPort) if wish.wanted_address else None
        pairs = _address_pairs(wish.address_pairs)

        def work(tx: WriteTransaction) -> _Change:
            subnet = own_subnet(tx, caller.project_id, wish.subnet_id)
            check_room(tx.made_nic_count(caller.project_id), PORT_LIMIT, "ports")
            nic = Nic(
                id=nic_id,
                subnet_id=subnet.id,
                vpc_id=subnet.vpc_id,
                project_id=caller.project_id,
                address=_claim(tx, nic_id, subnet, wanted),
                name=name,
                is_virtual_ip=is_virtual_ip,
                device_owner=wish.device_owner,
                address_pairs=pairs,
                host=None if is_virtual_ip else _free_host_name(tx, name, nic_id),
                origin=Origin.API,
            )
            before = self._hosts(tx, subnet, nic)
            tx.put_nic(nic)
            return _Change(nic, subnet, before, self._hosts(tx, subnet, nic))

        async with self._turn:
            change = await self._store.write(work)
            try:
                await self._rewire(change)
            except WiringFailed:
                await self._undo_creation(change)
                raise
        return change.nic

    async def list(self, query: NicQuery) -> Sequence[Nic]:
        """Return one page of a project's ports, by id."""
        nics = await self._store.read(lambda tx: tx.nics_of(query.project_id))
        return page_of(filter(query.matches, nics), query.page)

    async def show(self, project_id: ProjectId, id_: NicId) -> Nic:
        """Return one port of a project.

        Raises:
            NoSuchPort: unknown, or of another project.
        """
        return await self._store.read(lambda tx: _own_nic(tx, project_id, id_))

    async def update(self, project_id: ProjectId, id_: NicId, changes: NicChanges) -> Nic:
        """Change a port's name, or the addresses that it may use beside its own. Its host keeps its name.

        Raises:
            NoSuchPort: unknown, or of another project.
            FromLabFile: the lab file describes it.
            InvalidPort: a field is wrong.
            WiringFailed: the lab could not wire it; the next start does.
        """
        name = None if changes.name is None else check_port_name(changes.name, InvalidPort)
        pairs = None if changes.address_pairs is None else _address_pairs(changes.address_pairs)

        def work(tx: WriteTransaction) -> _Change:
            old, subnet = _changeable_nic(tx, project_id, id_)
            nic = replace(
                old,
                name=old.name if name is None else name,
                address_pairs=old.address_pairs if pairs is None else pairs,
            )
            both = replace(nic, address_pairs=(*old.address_pairs, *nic.address_pairs))
            before = self._hosts(tx, subnet, both)
            tx.put_nic(nic)
            return _Change(nic, subnet, before, self._hosts(tx, subnet, both))

        async with self._turn:
            change = await self._store.write(work)
            await self._rewire(change)
        return change.nic

    async def delete(self, project_id: ProjectId, id_: NicId) -> None:
        """Delete a port that no service stands behind; its address is free when nothing answers there.

        A service that moved away from it loses the connections that were opened there.

        Raises:
            NoSuchPort: unknown, or of another project.
            FromLabFile: the lab file describes it.
            PortInUse: the services are named in the message.
        """

        def work(tx: WriteTransaction) -> _Change:
            nic, subnet = _changeable_nic(tx, project_id, id_)
            if uses := tx.uses_of_nic(id_):
                raise PortInUse(f"port {id_} is used by {named_uses(uses)}: delete that first")
            before = self._hosts(tx, subnet, nic)
            was_backend = forget_former_places(tx, nic, now)
            tx.forget_nic(id_)
            return _Change(nic, subnet, before, self._hosts(tx, subnet, nic), was_backend)

        now = self._clock.now()
        async with self._turn:
            change = await self._store.write(work)
            if change.was_backend:
                self._wakeups.ring()
            try:
                is_silent = await self._rewire(change)
            except WiringFailed:
                # It is deleted all the same. Its address stays taken until the next start has cleaned up.
                is_silent = False
            if is_silent:
                await self._store.write(lambda tx: tx.free_nic_address(change.nic))

    def _hosts(self, tx: ReadTransaction, subnet: Subnet, nic: Nic) -> Mapping[NicId, Host]:
        """Return the hosts that a change of this NIC may concern, as they are now."""
        if nic.is_virtual_ip or nic.address_pairs:
            return hosts_of(self._region, subnet, tx.nics_in(subnet.id))
        # It carries no virtual IP, so no other host changes with it: one row is enough, however many there are.
        there = tx.nic(nic.id)
        return {} if there is None else hosts_of(self._region, subnet, [there])

    async def _rewire(self, change: _Change) -> bool:
        """Make the hosts that changed as they should be; return whether those that went are certainly gone."""
        removed = [host for id_, host in change.before.items() if id_ not in change.after]
        are_gone = all([await self._wiring.unplug(host) for host in removed])
        changed = {id_: host for id_, host in change.after.items() if change.before.get(id_) != host}
        # A virtual IP leaves one host before it comes to another: two owners of an address must never be.
        for id_ in sorted(changed, key=lambda id_: not _loses_addresses(change.before.get(id_), changed[id_])):
            await self._wiring.plug(change.subnet, changed[id_])
        return are_gone

    async def _undo_creation(self, change: _Change) -> None:
        back = replace(change, before=change.after, after=change.before)
        try:
            is_silent = await self._rewire(back)
        except WiringFailed:
            is_silent = False

        def forget(tx: WriteTransaction) -> None:
            if tx.uses_of_nic(change.nic.id):
                return  # somebody has found it meanwhile: then it stays, and the next start wires it
            tx.forget_nic(change.nic.id)
            if is_silent:
                tx.free_nic_address(change.nic)

        await self._store.write(forget)


def _loses_addresses(before: Host | None, after: Host) -> bool:
    return before is not None and not set(before.virtual_addresses) <= set(after.virtual_addresses)


def _own_nic(tx: ReadTransaction, project_id: ProjectId, id_: NicId) -> Nic:
    nic = tx.nic_of(project_id, id_)
    if nic is None:
        raise NoSuchPort(f"port {id_} does not exist in this project: list the ports to see their ids")
    return nic


def _changeable_nic(tx: ReadTransaction, project_id: ProjectId, id_: NicId) -> tuple[Nic, Subnet]:
    nic = _own_nic(tx, project_id, id_)
    refuse_lab_file(nic.origin, f"port {id_}")
    return nic, own_subnet(tx, project_id, nic.subnet_id)


def _claim(tx: WriteTransaction, nic_id: NicId, subnet: Subnet, wanted: IPv4Address | None) -> IPv4Address:
    try:
        return tx.claim_nic_address(nic_id, subnet, wanted)
    except AddressTaken:
        raise PortAddressTaken(
            f"{wanted} is in use in subnet {subnet.cidr}: choose another ip_address, or leave it out"
        ) from None
    except AddressOutsideSubnet:
        raise PortAddressOutsideSubnet(
            f"{wanted} is no host address of subnet {subnet.cidr}: choose another ip_address, or leave it out"
        ) from None
    except SubnetFull as error:
        raise NoFreePortAddress(error.message) from None


def _free_host_name(tx: ReadTransaction, port_name: str, nic_id: NicId) -> str:
    name = host_name(port_name, nic_id)
    return name if tx.nic_on_host(name) is None else other_host_name(name, nic_id)


def _address_pairs(pairs: Sequence[tuple[str, str]]) -> tuple[AddressPair, ...]:
    if len(pairs) > ADDRESS_PAIR_LIMIT:
        raise InvalidPort(f"{len(pairs)} allowed_address_pairs: at most {ADDRESS_PAIR_LIMIT} are allowed")
    checked: list[AddressPair] = []
    for address, mac in pairs:
        try:
            network = IPv4Network(address, strict=False)
        except ValueError:
            raise InvalidPort("an ip_address of allowed_address_pairs is an IPv4 address or a CIDR") from None
        if mac and _MAC.fullmatch(mac) is None:
            raise InvalidPort("a mac_address of allowed_address_pairs is a MAC such as 02:00:5e:00:53:01, or absent")
        checked.append(AddressPair(network, mac))
    return tuple(dict.fromkeys(checked))
