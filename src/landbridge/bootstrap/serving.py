"""Run a data plane's owner in the process that the user started: with the API (`serve`), or without it (`agent`).

The order matters: the user namespace is entered before any thread exists; the port and the state are taken before
anything is built; of several agents one leads before any of them touches the data plane; that equals the database
before the first request is answered; and a lab is taken down before the process ends, unless it was killed.
"""

import asyncio
import contextlib
import resource
import signal
import time
from collections.abc import Callable, Collection
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import structlog

from landbridge import lab as labs
from landbridge.api.app import create_app
from landbridge.api.operators import create_operators_app
from landbridge.bootstrap.agents_port import AgentsPort
from landbridge.bootstrap.attached_networks import AttachedNetworks, BridgedWiring, Machine, Reloading
from landbridge.bootstrap.composing import DataPlane, ServeOptions, SystemClock, announce, compose, pool_of
from landbridge.bootstrap.confirming import taking_consent
from landbridge.bootstrap.databases import connector, open_hints, open_store
from landbridge.bootstrap.diagnosis_wiring import eyes_of
from landbridge.bootstrap.engines import linux_driver
from landbridge.bootstrap.hinting import Hinting
from landbridge.bootstrap.lab_down import take_down_lab
from landbridge.bootstrap.lab_start import store_lab, whole_fabric
from landbridge.bootstrap.lab_wiring import LabWiring, hosts_in
from landbridge.bootstrap.memory import settle_memory
from landbridge.bootstrap.traffic_wiring import TrafficParts, keeping_flow_log, linux_traffic, no_traffic
from landbridge.bootstrap.web_server import WebServer
from landbridge.control.leadership import Lease, LeasedDriver
from landbridge.control.network_protocols import NetworkWiring, Unwired
from landbridge.control.protocols import Store
from landbridge.dataplane.driver import Capabilities, Driver
from landbridge.dataplane.fabric import Fabric
from landbridge.dataplane.pools import Pool
from landbridge.domain.errors import OperatorError
from landbridge.domain.ids import PoolId, VpcId
from landbridge.drivers.linux import user_namespace
from landbridge.drivers.linux.driver import LinuxDriver
from landbridge.drivers.linux.lab_network import LabNetwork
from landbridge.drivers.linux.namespaces import Namespaces
from landbridge.drivers.linux.nft import NftError, NftUnavailable
from landbridge.drivers.linux.ownership import NamespaceTaken
from landbridge.drivers.linux.proxying import ProxyEngine
from landbridge.drivers.memory import MemoryDriver
from landbridge.identity.state_keys import StateKeys, open_state_keys
from landbridge.observability import Telemetry, configure_logging
from landbridge.settings import DEFAULT_POOL, Settings
from landbridge.state import StateDirectory, describe_owner, forget_instance, open_state, register_instance

_FIRST_TRY_SECONDS = 1.0
"""Who does not lead by then waits for another agent."""
_STANDBY_LOOK_SECONDS = 0.25
"""How soon a standby hears that it is to end."""
_CONSENT_SECONDS = 10.0
"""How long a standby may have waited to use the consent to removals that it was started with."""


def serve(settings: Settings, options: ServeOptions) -> None:
    """Run API and data plane in one process until it is told to end.

    Raises:
        OperatorError, LabFileError: it cannot start; the message says what to do.
    """
    _run(settings, options, lambda chosen, _state: WebServer.open(chosen))


def agent(settings: Settings, options: ServeOptions) -> None:
    """Run the data plane until it is told to end, or another agent leads the pool.

    Raises:
        OperatorError, LabFileError: it cannot start, or leads no more; the message says what to do.
    """
    _run(settings, options, AgentsPort.open)


def _run(
    settings: Settings, options: ServeOptions, open_web: Callable[[Settings, Path], WebServer | AgentsPort]
) -> None:
    if settings.identity == "keystone" and options.lab_file is not None:
        raise OperatorError(
            'a lab brings its own projects and users: leave --lab out, or identity = "keystone" out of the settings'
        )
    if settings.pool != DEFAULT_POOL and options.lab_file is not None:
        raise OperatorError("a lab has one pool: leave --lab out, or pool out of the settings")
    lab = labs.read_lab(options.lab_file) if options.lab_file is not None else None
    settle_memory()
    configure_logging(settings.log_level)
    _allow_many_descriptors()
    state = open_state(options.state)
    if not settings.database:
        # A database that several hosts share has locks of its own.
        state.lock()
    settings = replace(settings, region=state.region(settings.region if lab is None else lab.region))
    with open_web(settings, state.path) as web:
        namespaces = _enter(state) if settings.driver == "linux" else None
        stopping = _StopFlag()
        import uvloop  # noqa: PLC0415 — after the user namespace is entered; its import may start threads

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_Server(settings, options, state, namespaces, lab, web, stopping).run())


class _StopFlag:
    """Remembers a request to end that comes before the web server listens for it."""

    def __init__(self) -> None:
        self.is_set = False
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)

    def _stop(self, _number: int, _frame: object) -> None:
        self.is_set = True


@dataclass(frozen=True, slots=True)
class _Server:
    settings: Settings
    options: ServeOptions
    state: StateDirectory
    namespaces: Namespaces | None
    lab: labs.Lab | None
    web: WebServer | AgentsPort
    stopping: _StopFlag

    async def run(self) -> None:
        instance = self.state.instance()
        keys = open_state_keys(self.state.path)
        pool_id = pool_of(self.settings.region, self.settings.pool)
        telemetry = Telemetry(self.settings.driver, pool_id)
        async with contextlib.AsyncExitStack() as stack:
            store = open_store(self.settings, self.state, SystemClock())
            stack.callback(store.close)
            ended: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
            hinting = Hinting()
            pool = self._pool(pool_id, Capabilities())
            await announce(store, pool, only_if_new=True)
            asked_at = time.monotonic()
            lease = await self._lead(stack, pool_id, ended)
            options = self._with_fresh_consent(time.monotonic() - asked_at)
            if lease is not None:
                if not lease.is_held:
                    return  # told to end while another agent led
                telemetry.rounds.leads(is_leader=True)
            hinting.hints = open_hints(self.settings, self.state.path, hinting.on_hint, stack)
            attached = AttachedNetworks(self.settings, store, pool.id)
            await attached.free_addresses()
            if self.lab is not None:
                await self._bring_up(self.lab, store, attached, keys)
                if self.namespaces is not None and not self.options.keep_lab:
                    stack.callback(self._take_down, self.namespaces, ended)
            data_plane = await self._data_plane(stack, attached, telemetry, lease)
            await announce(store, self._pool(pool_id, data_plane.driver.capabilities))
            traffic = data_plane.traffic
            assert traffic is not None  # noqa: S101 — it has just been made
            parts = compose(
                self.settings,
                self.web.public_url,
                store,
                keys,
                telemetry,
                options,
                data_plane,
                hinting.wakeups,
                hinting.settlements,
            )
            stack.callback(parts.identity.close)
            # Before the first sweep: whoever asks meanwhile hears that it has not ended yet.
            await stack.enter_async_context(self.web.operators.answering(create_operators_app(parts.api, telemetry)))
            reconciler = parts.reconciler
            await stack.enter_async_context(taking_consent(self.state.path, pool.name, reconciler))
            await reconciler.sweep_supervised()
            loop = asyncio.create_task(reconciler.run(), name="reconciler")
            loop.add_done_callback(lambda _: ended.done() or ended.set_result(None))
            stack.push_async_callback(_cancel, loop)
            await stack.enter_async_context(
                keeping_flow_log(
                    self.settings,
                    self.state.path,
                    self.namespaces,
                    instance,
                    store,
                    pool.id,
                    traffic,
                    SystemClock(),
                    telemetry,
                )
            )
            probing = asyncio.create_task(parts.health.run(), name="health")
            stack.push_async_callback(_cancel, probing)
            reporting = asyncio.create_task(parts.edge_reports.run(), name="edge-reports")
            stack.push_async_callback(_cancel, reporting)
            reloading = Reloading(attached, self.options.config, reconciler.look_again)
            stack.push_async_callback(reloading.close)
            await self.web.answer(create_app(parts.api, telemetry), ended, self._is_ready, reloading.on_hangup)
            structlog.get_logger().info("server.ending")
            if ended.done() and (why := ended.result()) is not None:
                raise OperatorError(f"this agent leads pool {pool.name} no more: {why}; start it again as a standby")

    async def _data_plane(
        self,
        stack: contextlib.AsyncExitStack,
        attached: AttachedNetworks,
        telemetry: Telemetry,
        lease: Lease | None,
    ) -> DataPlane:
        """Open the data plane and all that looks at it; closed with the stack."""
        instance = self.state.instance()
        traffic_thread = ThreadPoolExecutor(1, "traffic")
        traffic = self._traffic(instance, traffic_thread)
        stack.callback(traffic.source.close)
        stack.enter_context(traffic_thread)
        driver = self._driver(instance, traffic)
        stack.callback(driver.close)
        if isinstance(driver, LinuxDriver):
            _watch_proxy(driver, telemetry)
        driver_thread = stack.enter_context(ThreadPoolExecutor(1, "driver"))
        if self.namespaces is not None and isinstance(driver, LinuxDriver):
            await attached.begin(
                Machine(self.namespaces, self.state, self.settings.region, driver_thread, driver.refit)
            )
        eyes = eyes_of(driver, self.namespaces, instance, self.settings.region)
        stack.callback(eyes.close)
        return DataPlane(
            driver if lease is None else LeasedDriver(driver, lease),
            driver_thread,
            eyes,
            traffic,
            BridgedWiring(attached, self._wiring(driver, driver_thread, instance)),
            lambda: attached.bridged,
        )

    async def _bring_up(
        self,
        lab: labs.Lab,
        store: Store,
        attached: AttachedNetworks,
        keys: StateKeys,
    ) -> None:
        """Fill the database from the lab file, and wire its networks."""
        await store_lab(store, lab, keys.sealing_key)
        await store.write(lambda tx: tx.free_addresses_of_forgotten_nics())
        if self.namespaces is not None:
            fabric = await whole_fabric(store, lab, attached.bridged)
            self._wire_lab(fabric, await attached.vpc_ids(), self.namespaces, self.state.instance())

    def _take_down(self, namespaces: Namespaces, ended: asyncio.Future[str | None]) -> None:
        # Who leads no more leaves everything to whoever leads now.
        if not (ended.done() and not ended.cancelled() and ended.result() is not None):
            take_down_lab(self.state, namespaces)

    def _pool(self, pool_id: PoolId, capabilities: Capabilities) -> Pool:
        address = self.web.address if isinstance(self.web, AgentsPort) else ""
        wires = self.lab is not None or bool(self.settings.attachments)
        return Pool(pool_id, self.settings.pool, capabilities, address, wires)

    async def _lead(
        self, stack: contextlib.AsyncExitStack, pool_id: PoolId, ended: asyncio.Future[str | None]
    ) -> Lease | None:
        """Wait until this process may change the pool's data plane; None: nobody else can, as the state is locked."""
        if not self.settings.database:
            return None
        # PostgreSQL's library takes a fifth of a second to import, so only those who use it do.
        from landbridge.coordination.postgresql import Candidate  # noqa: PLC0415

        loop, log = asyncio.get_running_loop(), structlog.get_logger()

        def lost(why: str) -> None:
            log.error("leadership.lost", reason=why)
            loop.call_soon_threadsafe(lambda: ended.done() or ended.set_result(why))

        candidate = Candidate(connector(self.settings), pool_id, time.monotonic, lost)
        candidate.start()
        stack.push_async_callback(asyncio.to_thread, candidate.stop)
        if not await asyncio.to_thread(candidate.wait, _FIRST_TRY_SECONDS):
            log.info("agent.standby", pool=self.settings.pool)
        while not self.stopping.is_set and not await asyncio.to_thread(candidate.wait, _STANDBY_LOOK_SECONDS):
            pass
        return candidate.lease

    def _with_fresh_consent(self, waited_seconds: float) -> ServeOptions:
        """Return the options; consent to removals that is older than the operator's look at them is void."""
        if not self.options.confirm_removals or waited_seconds < _CONSENT_SECONDS:
            return self.options
        structlog.get_logger().warning(
            "removals.unconfirmed",
            advice="another agent led meanwhile: if removals are held, run `landbridge agent --confirm-removals` again",
        )
        return replace(self.options, confirm_removals=False)

    def _is_ready(self) -> bool:
        if self.stopping.is_set:
            return False
        structlog.get_logger().info("server.ready", url=self.web.public_url, state=str(self.state.path))
        return True

    def _traffic(self, instance: str, thread: Executor) -> TrafficParts:
        if self.namespaces is None:
            return no_traffic(SystemClock(), thread)
        region = self.settings.region
        return linux_traffic(region, self.state.path, self.namespaces, instance, SystemClock(), thread)

    def _driver(self, instance: str, traffic: TrafficParts) -> Driver:
        if self.namespaces is None:
            return MemoryDriver()
        return linux_driver(
            self.settings, self.state.path, self.namespaces, instance, self.settings.region, traffic.proxied.proxied
        )

    def _wiring(self, driver: Driver, driver_thread: Executor, instance: str) -> NetworkWiring:
        """Return who makes networks real as they are made: nobody without a lab."""
        if self.lab is None or self.namespaces is None or not isinstance(driver, LinuxDriver):
            return Unwired()
        network = LabNetwork(self.namespaces, instance)
        return LabWiring(network, self.state, self.settings.region, driver_thread, driver.refit)

    def _wire_lab(self, fabric: Fabric, attached: Collection[VpcId], namespaces: Namespaces, instance: str) -> None:
        is_first = self.state.read_lab() is None
        # Written down first: should wiring break half-way, `lab down` finds what there is.
        self.state.write_lab(fabric.region, hosts_in(fabric))
        if user_namespace.is_privileged():
            register_instance(instance, self.state)
        try:
            LabNetwork(namespaces, instance).wire(fabric, attached)
        except NamespaceTaken as taken:
            if is_first:
                self.state.forget_lab()
                forget_instance(instance)
            raise OperatorError(
                f"the network namespace {taken.name} is taken: {describe_owner(taken.owner)}"
            ) from taken
        except NftUnavailable as error:
            raise OperatorError(str(error)) from error
        except (OSError, NftError) as error:
            raise OperatorError(
                f"the lab cannot be wired: {error}; `landbridge lab down --state {self.state.path}` undoes it"
            ) from error


def _watch_proxy(driver: LinuxDriver, telemetry: Telemetry) -> None:
    proxy = next((engine for engine in driver.engines if isinstance(engine, ProxyEngine)), None)
    if proxy is not None:
        telemetry.watch_proxy(lambda: proxy.state.pid is not None, lambda: proxy.state.restart_count)


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def _enter(state: StateDirectory) -> Namespaces:
    try:
        return user_namespace.enter(state.path)
    except user_namespace.UserNamespacesRefused as error:
        raise OperatorError(str(error)) from error


def _allow_many_descriptors() -> None:
    """Use all descriptors that the system grants: each edge and each connection needs some."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
