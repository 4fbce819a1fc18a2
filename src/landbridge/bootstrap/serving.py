"""Run the API and the reconciler in the process that the user started.

The order matters: the user namespace is entered before any thread exists; the port and the state are taken before
anything is built; the data plane equals the database before the first request is answered; and a lab is taken down
before the process ends, unless it was killed.
"""

import asyncio
import contextlib
import resource
import signal
from collections.abc import Collection
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, replace

import structlog

from landbridge import lab as labs
from landbridge.api.app import create_app
from landbridge.bootstrap.attached_networks import AttachedNetworks, BridgedWiring, Machine, Reloading
from landbridge.bootstrap.composing import ServeOptions, SystemClock, compose, pool_of
from landbridge.bootstrap.diagnosis_wiring import eyes_of
from landbridge.bootstrap.engines import linux_driver
from landbridge.bootstrap.lab_down import take_down_lab
from landbridge.bootstrap.lab_start import store_lab, whole_fabric
from landbridge.bootstrap.lab_wiring import LabWiring, hosts_in
from landbridge.bootstrap.traffic_wiring import TrafficParts, keeping_flow_log, linux_traffic, no_traffic
from landbridge.bootstrap.web_server import WebServer
from landbridge.control.network_protocols import NetworkWiring, Unwired
from landbridge.dataplane.driver import Driver
from landbridge.dataplane.fabric import Fabric
from landbridge.domain.errors import OperatorError
from landbridge.domain.ids import VpcId
from landbridge.drivers.linux import user_namespace
from landbridge.drivers.linux.driver import LinuxDriver
from landbridge.drivers.linux.lab_network import LabNetwork
from landbridge.drivers.linux.namespaces import Namespaces
from landbridge.drivers.linux.nft import NftError, NftUnavailable
from landbridge.drivers.linux.ownership import NamespaceTaken
from landbridge.drivers.linux.proxying import ProxyEngine
from landbridge.drivers.memory import MemoryDriver
from landbridge.identity.state_keys import open_state_keys
from landbridge.observability import Telemetry, configure_logging
from landbridge.settings import Settings
from landbridge.state import StateDirectory, describe_owner, forget_instance, open_state, register_instance
from landbridge.store.sqlite import SqliteStore


def serve(settings: Settings, options: ServeOptions) -> None:
    """Run the server until it is told to end.

    Raises:
        OperatorError, LabFileError: it cannot start; the message says what to do.
    """
    if settings.identity == "keystone" and options.lab_file is not None:
        raise OperatorError(
            'a lab brings its own projects and users: leave --lab out, or identity = "keystone" out of the settings'
        )
    lab = labs.read_lab(options.lab_file) if options.lab_file is not None else None
    configure_logging(settings.log_level)
    _allow_many_descriptors()
    state = open_state(options.state)
    state.lock()
    settings = replace(settings, region=state.region(settings.region if lab is None else lab.region))
    with WebServer.open(settings) as web:
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
    web: WebServer
    stopping: _StopFlag

    async def run(self) -> None:
        instance = self.state.instance()
        keys = open_state_keys(self.state.path)
        telemetry = Telemetry(self.settings.driver, pool_of(self.settings.region))
        async with contextlib.AsyncExitStack() as stack:
            store = SqliteStore.open(self.state.database, clock=SystemClock())
            stack.callback(store.close)
            attached = AttachedNetworks(self.settings, store)
            await attached.free_addresses()
            if self.lab is not None:
                await store_lab(store, self.lab, keys.sealing_key)
                await store.write(lambda tx: tx.free_addresses_of_forgotten_nics())
                if self.namespaces is not None:
                    fabric = await whole_fabric(store, self.lab, attached.bridged)
                    self._wire_lab(fabric, await attached.vpc_ids(), self.namespaces, instance)
                    if not self.options.keep_lab:
                        stack.callback(take_down_lab, self.state, self.namespaces)
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
            parts = compose(
                self.settings,
                self.web.public_url,
                store,
                driver,
                driver_thread,
                keys,
                telemetry,
                self.options,
                BridgedWiring(attached, self._wiring(driver, driver_thread, instance)),
                eyes,
                traffic,
                lambda: attached.bridged,
            )
            stack.callback(parts.identity.close)
            reconciler = parts.reconciler
            await reconciler.supervised("sweep", reconciler.sweep)
            loop = asyncio.create_task(reconciler.run(), name="reconciler")
            stack.push_async_callback(_cancel, loop)
            await stack.enter_async_context(
                keeping_flow_log(
                    self.settings, self.state.path, self.namespaces, instance, store, traffic, SystemClock(), telemetry
                )
            )
            probing = asyncio.create_task(parts.health.run(), name="health")
            stack.push_async_callback(_cancel, probing)
            reloading = Reloading(attached, self.options.config, reconciler.look_again)
            stack.push_async_callback(reloading.close)
            await self.web.answer(create_app(parts.api, telemetry), loop, self._is_ready, reloading.on_hangup)
            structlog.get_logger().info("server.ending")

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
