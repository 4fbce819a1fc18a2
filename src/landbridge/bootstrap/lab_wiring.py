"""Wire what is made through the VPC API into the running lab, and write down where its hosts are.

All of it happens in the driver's thread: a round and a change of networks never work on one edge at a time. What fails
is logged in full for the operator; the tenant hears that it failed and what to do.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor

import structlog

from landbridge.dataplane.compile import attachment_of
from landbridge.dataplane.fabric import Fabric, Host
from landbridge.domain.ids import VpcId
from landbridge.domain.network_errors import WiringFailed
from landbridge.domain.resources import Subnet
from landbridge.drivers.linux.lab_network import LabNetwork
from landbridge.drivers.linux.namespaces import NoSuchNamespace
from landbridge.drivers.linux.nft import NftError, NftUnavailable
from landbridge.drivers.linux.ownership import NamespaceTaken
from landbridge.state import StateDirectory

_FAILURES = (OSError, NftError, NftUnavailable, NamespaceTaken, NoSuchNamespace, LookupError)


class LabWiring:
    """The lab of this server (`control.network_protocols.NetworkWiring`)."""

    def __init__(
        self,
        network: LabNetwork,
        state: StateDirectory,
        region: str,
        driver_thread: Executor,
        after_attaching: Callable[[VpcId], None],
    ) -> None:
        self._network = network
        self._state = state
        self._region = region
        self._driver_thread = driver_thread
        self._after_attaching = after_attaching

    async def attach(self, subnet: Subnet) -> None:
        """Make a new subnet's segment.

        Raises:
            WiringFailed: it is not there; half of it may be.
        """

        def work() -> None:
            self._network.add_subnet(self._region, attachment_of(subnet))
            self._after_attaching(subnet.vpc_id)

        await self._must(work, f"subnet {subnet.name}", subnet.id)

    async def detach(self, subnet: Subnet) -> None:
        """Take a subnet's segment away; what fails is logged, and done at the next start."""
        await self._may(lambda: self._network.remove_subnet(self._region, subnet.id), subnet.id)

    async def plug(self, subnet: Subnet, host: Host) -> None:
        """Make a host, or correct one that is there.

        Raises:
            WiringFailed: it is not there; half of it may be.
        """

        def work() -> None:
            # Written down first: what breaks half-way is found by whoever takes the lab down.
            self._write_down(lambda hosts: hosts | {host.name: host.namespace})
            self._network.add_host(self._region, attachment_of(subnet), host)

        await self._must(work, f"host {host.name}", host.namespace)

    async def unplug(self, host: Host) -> bool:
        """Take a host away; return whether it is certain that it reaches nobody any more."""

        def work() -> None:
            self._network.remove_host(self._region, host)
            self._write_down(lambda hosts: {name: place for name, place in hosts.items() if name != host.name})

        return await self._may(work, host.namespace)

    async def remove(self, vpc_id: VpcId) -> None:
        """Take the edge of a VPC without subnets away; what fails is logged, and done at the next start."""
        await self._may(lambda: self._network.remove_edge(self._region, vpc_id), vpc_id)

    def _write_down(self, change: Callable[[dict[str, str]], dict[str, str]]) -> None:
        written = self._state.read_lab()
        hosts = {} if written is None else written[1]
        self._state.write_lab(self._region, change(hosts))

    async def _must(self, work: Callable[[], None], what: str, thing: str) -> None:
        if not await self._may(work, thing):
            raise WiringFailed(
                f"the lab could not wire {what}: try again; if it fails again, the server's log has the reason"
            )

    async def _may(self, work: Callable[[], None], thing: str) -> bool:
        try:
            await asyncio.get_running_loop().run_in_executor(self._driver_thread, work)
        except _FAILURES as error:
            structlog.get_logger().error("network.failed", thing=thing, error=str(error))
            return False
        return True


def hosts_in(fabric: Fabric) -> dict[str, str]:
    """Return the namespace of each host of a fabric, by the host's name."""
    return {host.name: host.namespace for subnet in fabric.subnets for host in subnet.hosts}
