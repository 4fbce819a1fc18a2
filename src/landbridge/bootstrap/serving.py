"""Run the API and the reconciler in the process that the user started.

The order matters: the user namespace is entered before any thread exists; the port and the state are taken before
anything is built; the data plane equals the database before the first request is answered; and a lab is taken down
before the process ends, unless it was killed.
"""

import asyncio
import contextlib
import resource
import signal
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, replace

import structlog

from landbridge import lab as labs
from landbridge.api.app import create_app
from landbridge.bootstrap.composing import ServeOptions, SystemClock, compose, pool_of
from landbridge.bootstrap.lab_down import take_down_lab
from landbridge.bootstrap.lab_start import store_lab, whole_fabric
from landbridge.bootstrap.lab_wiring import LabWiring, hosts_in
from landbridge.bootstrap.web_server import WebServer
from landbridge.control.network_protocols import NetworkWiring, Unwired
from landbridge.dataplane.driver import Driver
from landbridge.dataplane.fabric import Fabric
from landbridge.domain.errors import OperatorError
from landbridge.drivers.linux import user_namespace
from landbridge.drivers.linux.driver import LinuxDriver
from landbridge.drivers.linux.lab_network import LabNetwork
from landbridge.drivers.linux.namespaces import Namespaces
from landbridge.drivers.linux.nft import NftError, NftUnavailable
from landbridge.drivers.linux.ownership import NamespaceTaken
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
            if self.lab is not None:
                await store_lab(store, self.lab, keys.sealing_key)
                await store.write(lambda tx: tx.free_addresses_of_forgotten_nics())
                if self.namespaces is not None:
                    self._wire_lab(await whole_fabric(store, self.lab), self.namespaces, instance)
                    if not self.options.keep_lab:
                        stack.callback(take_down_lab, self.state, self.namespaces)
            driver = _driver(self.settings, self.namespaces, instance)
            stack.callback(driver.close)
            driver_thread = stack.enter_context(ThreadPoolExecutor(1, "driver"))
            parts = compose(
                self.settings,
                self.web.public_url,
                store,
                driver,
                driver_thread,
                keys,
                telemetry,
                self.options,
                self._wiring(driver_thread, instance),
            )
            stack.callback(parts.identity.close)
            reconciler = parts.reconciler
            await reconciler.supervised("sweep", reconciler.sweep)
            loop = asyncio.create_task(reconciler.run(), name="reconciler")
            stack.push_async_callback(_cancel, loop)
            await self.web.answer(create_app(parts.api, telemetry), loop, self._is_ready)
            structlog.get_logger().info("server.ending")

    def _is_ready(self) -> bool:
        if self.stopping.is_set:
            return False
        structlog.get_logger().info("server.ready", url=self.web.public_url, state=str(self.state.path))
        return True

    def _wiring(self, driver_thread: Executor, instance: str) -> NetworkWiring:
        """Return who makes networks real as they are made: nobody without a lab."""
        if self.lab is None or self.namespaces is None:
            return Unwired()
        network = LabNetwork(self.namespaces, instance)
        return LabWiring(network, self.state, self.settings.region, driver_thread)

    def _wire_lab(self, fabric: Fabric, namespaces: Namespaces, instance: str) -> None:
        is_first = self.state.read_lab() is None
        # Written down first: should wiring break half-way, `lab down` finds what there is.
        self.state.write_lab(fabric.region, hosts_in(fabric))
        if user_namespace.is_privileged():
            register_instance(instance, self.state)
        try:
            LabNetwork(namespaces, instance).wire(fabric)
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


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def _driver(settings: Settings, namespaces: Namespaces | None, instance: str) -> Driver:
    if namespaces is None:
        return MemoryDriver()
    return LinuxDriver(namespaces, instance, settings.region)


def _enter(state: StateDirectory) -> Namespaces:
    try:
        return user_namespace.enter(state.path)
    except user_namespace.UserNamespacesRefused as error:
        raise OperatorError(str(error)) from error


def _allow_many_descriptors() -> None:
    """Use all descriptors that the system grants: each edge and each connection needs some."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
