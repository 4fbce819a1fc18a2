"""Attach the subnets that the configuration maps to existing bridges, and keep to it when it is read again.

What is attached outlives the server: nothing is taken out of a bridge when it ends, only when the configuration does
not name the subnet any more, when the subnet is deleted, or by `landbridge detach`. Everything in the kernel happens in
the driver's thread.
"""

import asyncio
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import structlog

from landbridge.control.network_protocols import NetworkWiring
from landbridge.control.protocols import Store
from landbridge.dataplane.bridging import Bridged, by_subnet, check_edge_address, mtu_of
from landbridge.dataplane.compile import attachment_of
from landbridge.dataplane.fabric import Host
from landbridge.dataplane.model import Attachment
from landbridge.domain.errors import AddressTaken, LandbridgeError, OperatorError
from landbridge.domain.ids import PoolId, SubnetId, VpcId
from landbridge.domain.network_errors import WiringFailed
from landbridge.domain.resources import Subnet
from landbridge.drivers.linux import user_namespace
from landbridge.drivers.linux.attaching import Attaching, NotAttachable, remove_ports
from landbridge.drivers.linux.edges import Edges
from landbridge.drivers.linux.lab_network import LabNetwork
from landbridge.drivers.linux.namespaces import Namespaces
from landbridge.drivers.linux.nft import NftError, NftUnavailable
from landbridge.drivers.linux.ownership import NamespaceTaken
from landbridge.settings import Settings, read_settings
from landbridge.state import StateDirectory, describe_owner, register_instance

T = TypeVar("T")

_FAILURES = (NotAttachable, NamespaceTaken, NftError, NftUnavailable, OSError)


@dataclass(frozen=True, slots=True)
class Machine:
    """Where edges are plugged in, and by whom."""

    namespaces: Namespaces
    state: StateDirectory
    region: str
    thread: Executor
    """The driver's."""
    after_attaching: Callable[[VpcId], None]
    """Hears of VPCs whose edges have another interface; in the driver's thread."""

    async def run(self, work: Callable[[], T]) -> T:
        """Return what `work` returns when it runs in the driver's thread."""
        return await asyncio.get_running_loop().run_in_executor(self.thread, work)

    def with_attaching(self, work: Callable[[Attaching], T]) -> T:
        """Return what `work` returns; the sockets that it needs are closed afterwards."""
        instance = self.state.instance()
        edges = Edges(self.namespaces, instance, self.region)
        try:
            return work(Attaching(self.namespaces, instance, edges))
        finally:
            edges.close()

    def keep_ports(self, kept: Collection[SubnetId]) -> None:
        """Take all other subnets' edges out of their bridges."""
        remove_ports(self.namespaces, self.state.instance(), kept)


class AttachedNetworks:
    """The subnets of one server that existing bridges carry."""

    def __init__(self, settings: Settings, store: Store, pool_id: PoolId) -> None:
        self._pool_id = pool_id
        self._bridged = by_subnet(settings.attachments)
        self._store = store
        self._machine: Machine | None = None

    @property
    def bridged(self) -> Bridged:
        """The attachments that count now."""
        return self._bridged

    async def vpc_ids(self) -> set[VpcId]:
        """Return the VPCs of attached subnets, as far as the directory knows them."""
        return {subnet.vpc_id for subnet in await self._known(self._bridged)}

    async def free_addresses(self) -> None:
        """Let go of the edges' addresses before a lab file is read: `begin` takes them again, or says who has one."""
        await self._store.write(lambda tx: tx.claim_edge_addresses(self._pool_id, {}))

    async def begin(self, machine: Machine) -> None:
        """Attach what the configuration names, on this machine from now on.

        Raises:
            OperatorError: an attachment is wrong, or cannot be carried out; the message says what to do.
        """
        self._machine = machine
        if self._bridged and not user_namespace.is_privileged():
            raise OperatorError(
                "attachments need root, as this machine's bridges are root's: start the server as root, or leave "
                "attachments out of the settings"
            )
        subnets = await self._checked(self._bridged, machine)
        if self._bridged:
            register_instance(machine.state.instance(), machine.state)
        for subnet in subnets:
            problem = await self._attach(machine, subnet)
            if problem is not None:
                raise OperatorError(problem)
        if user_namespace.is_privileged():
            await machine.run(lambda: machine.keep_ports(self._bridged.keys()))

    async def reload(self, path: Path) -> bool:
        """Read the attachments again and carry them out; return whether they differ from those before.

        Whatever is wrong is logged, and the attachments of before stay.
        """
        log, machine = structlog.get_logger(), self._machine
        if machine is None:
            return False
        try:
            bridged = by_subnet(read_settings(path).attachments)
            if bridged == self._bridged:
                return False
            subnets = await self._checked(bridged, machine)
        except LandbridgeError as error:
            log.error("attachments.kept", reason=str(error), advice="the attachments of before stay in use")
            return False
        self._bridged = bridged
        register_instance(machine.state.instance(), machine.state)
        for subnet in subnets:
            problem = await self._attach(machine, subnet)
            if problem is not None:
                log.error("attachment.failed", subnet_id=subnet.id, reason=problem)
        await machine.run(lambda: machine.keep_ports(bridged.keys()))
        log.info("attachments.loaded", attachments=len(bridged))
        return True

    async def attach_new(self, subnet: Subnet) -> None:
        """Attach a subnet that has just been made.

        Raises:
            WiringFailed: it cannot be attached.
        """
        assert self._machine is not None  # noqa: S101 - without a machine no subnet is attached
        try:
            check_edge_address(subnet, self._bridged[subnet.id])
            await self._reserve(self._bridged, await self._known(self._bridged))
            problem = await self._attach(self._machine, subnet)
        except OperatorError as error:
            problem = str(error)
        if problem is not None:
            structlog.get_logger().error("attachment.failed", subnet_id=subnet.id, reason=problem)
            raise WiringFailed(f"subnet {subnet.name} cannot be attached: ask the operator, the server's log says why")

    async def detach(self, subnet: Subnet) -> None:
        """Take the edge out of the bridge of a subnet that is no more."""
        machine = self._machine
        assert machine is not None  # noqa: S101 - without a machine no subnet is attached
        kept = self._bridged.keys() - {subnet.id}
        await machine.run(lambda: machine.keep_ports(kept))

    async def remove_edge(self, vpc_id: VpcId) -> None:
        """Take the edge of a VPC without subnets away."""
        machine = self._machine
        assert machine is not None  # noqa: S101 - without a machine no subnet is attached
        network = LabNetwork(machine.namespaces, machine.state.instance())
        try:
            await machine.run(lambda: network.remove_edge(machine.region, vpc_id))
        except _FAILURES as error:
            structlog.get_logger().error("network.failed", thing=vpc_id, error=str(error))

    async def _checked(self, bridged: Bridged, machine: Machine) -> Sequence[Subnet]:
        """Return the subnets that the directory knows, after reserving the edges' addresses.

        Raises:
            OperatorError: something does not fit; nothing has been changed.
        """
        subnets = await self._known(bridged)
        sizes = {subnet.id: mtu_of(subnet, bridged[subnet.id]) for subnet in subnets}
        for subnet in subnets:
            check_edge_address(subnet, bridged[subnet.id])

        def check_bridges(attaching: Attaching) -> None:
            for subnet_id, attachment in bridged.items():
                try:
                    attaching.check(attachment.bridge, sizes.get(subnet_id, 0))
                except (NotAttachable, OSError) as error:
                    raise OperatorError(f"attachment of subnet {subnet_id}: {error}") from error

        await machine.run(lambda: machine.with_attaching(check_bridges))
        await self._reserve(bridged, subnets)
        for subnet_id in bridged.keys() - sizes.keys():
            structlog.get_logger().warning(
                "attachment.waiting",
                subnet_id=subnet_id,
                advice="no such subnet exists yet: it is attached as soon as it does; correct the id if it never will",
            )
        return subnets

    async def _known(self, bridged: Bridged) -> Sequence[Subnet]:
        found = await self._store.read(lambda tx: [tx.subnet(subnet_id) for subnet_id in bridged])
        return [subnet for subnet in found if subnet is not None]

    async def _reserve(self, bridged: Bridged, subnets: Sequence[Subnet]) -> None:
        addresses = {subnet.id: bridged[subnet.id].bridge.edge_address for subnet in subnets}
        try:
            await self._store.write(lambda tx: tx.claim_edge_addresses(self._pool_id, addresses))
        except AddressTaken as error:
            raise OperatorError(f"an attachment does not fit: {error.message}") from error

    async def _attach(self, machine: Machine, subnet: Subnet) -> str | None:
        """Return why a subnet cannot be attached, None if it is."""
        attachment = attachment_of(subnet, self._bridged)

        def work() -> None:
            machine.with_attaching(lambda attaching: attaching.attach(attachment))
            machine.after_attaching(attachment.vpc_id)

        try:
            await machine.run(work)
        except NamespaceTaken as taken:
            return f"the network namespace {taken.name} is taken: {describe_owner(taken.owner)}"
        except _FAILURES as error:
            return f"attachment of subnet {subnet.id}: {error}"
        structlog.get_logger().info("subnet.attached", subnet_id=subnet.id, bridge=_bridge_name(attachment))
        return None


class BridgedWiring:
    """Networks made through the API: attached where the configuration says so, else as `others` do it."""

    def __init__(self, attached: AttachedNetworks, others: NetworkWiring) -> None:
        self._attached = attached
        self._others = others

    async def attach(self, subnet: Subnet) -> None:
        """Make a new subnet's segment, or plug the edge into the bridge that is one.

        Raises:
            WiringFailed: it is not there; half of it may be.
        """
        if subnet.id in self._attached.bridged:
            await self._attached.attach_new(subnet)
        else:
            await self._others.attach(subnet)

    async def detach(self, subnet: Subnet) -> None:
        """Take a subnet's segment, or the edge's part in it, away."""
        if subnet.id in self._attached.bridged:
            await self._attached.detach(subnet)
        else:
            await self._others.detach(subnet)

    async def plug(self, subnet: Subnet, host: Host) -> None:
        """Make a host, unless a bridge carries the subnet: then the host is somebody else's.

        Raises:
            WiringFailed: it is not there; half of it may be.
        """
        if subnet.id not in self._attached.bridged:
            await self._others.plug(subnet, host)

    async def unplug(self, host: Host) -> bool:
        """Take a host away; return whether it is certain that it reaches nobody any more."""
        return await self._others.unplug(host)

    async def remove(self, vpc_id: VpcId) -> None:
        """Take away what is left of a VPC without subnets."""
        await self._others.remove(vpc_id)
        if self._attached.bridged:
            await self._attached.remove_edge(vpc_id)


def _bridge_name(attachment: Attachment) -> str:
    return "" if attachment.bridge is None else attachment.bridge.name


class Reloading:
    """Reads the attachments again on SIGHUP, one time after the other."""

    def __init__(self, attached: AttachedNetworks, config: Path | None, on_change: Callable[[], None]) -> None:
        self._attached = attached
        self._config = config
        self._on_change = on_change
        self._turn = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def on_hangup(self) -> Callable[[], None] | None:
        """What to call on SIGHUP; None: there is no file to read."""
        return None if self._config is None else self._begin

    async def close(self) -> None:
        """Wait for what is under way."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _begin(self) -> None:
        task = asyncio.create_task(self._reload(), name="reload")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _reload(self) -> None:
        async with self._turn:
            if self._config is not None and await self._attached.reload(self._config):
                self._on_change()
