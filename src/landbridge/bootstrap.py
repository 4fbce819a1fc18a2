"""Put the parts together. The only place where parts meet.

`serve` runs the API and the reconciler in the process that the user started. The order matters: the user namespace is
entered before any thread exists; the port and the state are taken before anything is built; the data plane equals the
database before the first request is answered; and a lab is taken down before the process ends, unless it was killed.
"""

import asyncio
import contextlib
import random
import resource
import signal
import socket
import uuid
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import structlog
import uvicorn

from landbridge import lab as labs
from landbridge.api.app import create_app
from landbridge.api.services import Api
from landbridge.control.connections import Connections
from landbridge.control.endpoint_services import EndpointServices
from landbridge.control.endpoints import Endpoints
from landbridge.control.permissions import Permissions
from landbridge.control.protocols import Store
from landbridge.control.reconciler import Reconciler, plan_everything
from landbridge.control.settlements import Settlements, Wakeups
from landbridge.dataplane.driver import Driver
from landbridge.dataplane.plan import Plan
from landbridge.directory.builtin import BuiltinDirectory, replace_contents
from landbridge.domain.errors import OperatorError
from landbridge.domain.ids import PoolId
from landbridge.drivers.linux import user_namespace
from landbridge.drivers.linux.driver import LinuxDriver
from landbridge.drivers.linux.lab_network import LabNetwork
from landbridge.drivers.linux.namespaces import Namespaces
from landbridge.drivers.linux.nft import NftError, NftUnavailable
from landbridge.drivers.linux.ownership import NamespaceTaken
from landbridge.drivers.memory import MemoryDriver
from landbridge.identity.builtin import BuiltinIdentity
from landbridge.identity.provisioning import NewProject, NewUser, provision
from landbridge.identity.sealing import Secret
from landbridge.identity.state_keys import StateKeys, open_state_keys
from landbridge.lab_down import take_down_lab
from landbridge.observability import Telemetry, configure_logging
from landbridge.settings import Settings
from landbridge.state import StateDirectory, describe_owner, forget_instance, open_state, register_instance
from landbridge.store.sqlite import SqliteStore

_POOL_NAMESPACE = uuid.UUID("6c1f6d0e-3f6b-4b0e-9d7c-5d1c8f0a2b11")
_CONNECTION_BACKLOG = 512
_GRACE_SECONDS = 3


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Return the current moment, aware and in UTC."""
        return datetime.now(UTC)


class RandomIds:
    """Ids from the machine's source of chance."""

    def new(self) -> str:
        """Return a random UUID."""
        return str(uuid.uuid4())


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """What `landbridge serve` was told beside its settings."""

    state: Path
    lab_file: Path | None = None
    keep_lab: bool = False
    accept_removals: bool = False


def serve(settings: Settings, options: ServeOptions) -> None:
    """Run the server until it is told to end.

    Raises:
        OperatorError, LabFileError: it cannot start; the message says what to do.
    """
    lab = labs.read_lab(options.lab_file) if options.lab_file is not None else None
    configure_logging(settings.log_level)
    _allow_many_descriptors()
    state = open_state(options.state)
    state.lock()
    settings = replace(settings, region=state.region(settings.region if lab is None else lab.region))
    with _listening_socket(settings.listen) as listener:
        namespaces = _enter(state) if settings.driver == "linux" else None
        stopping = _StopFlag()
        import uvloop  # noqa: PLC0415 — after the user namespace is entered; its import may start threads

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_Server(settings, options, state, namespaces, lab, listener, stopping).run())


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
    listener: socket.socket
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
                if self.namespaces is not None:
                    self._wire_lab(self.lab, self.namespaces, instance)
                    if not self.options.keep_lab:
                        stack.callback(take_down_lab, self.state, self.namespaces)
            driver = _driver(self.settings, self.namespaces, instance)
            stack.callback(driver.close)
            driver_thread = stack.enter_context(ThreadPoolExecutor(1, "driver"))
            parts = compose(
                self.settings, self._public_url(), store, driver, driver_thread, keys, telemetry, self.options
            )
            reconciler = parts.reconciler
            await reconciler.supervised("sweep", reconciler.sweep)
            loop = asyncio.create_task(reconciler.run(), name="reconciler")
            stack.push_async_callback(_cancel, loop)
            await self._answer_requests(create_app(parts.api, telemetry), loop)

    async def _answer_requests(self, app: object, reconciler: asyncio.Task[None]) -> None:
        config = uvicorn.Config(
            app,  # pyright: ignore[reportArgumentType] — an ASGI application
            log_config=None,
            access_log=False,
            server_header=False,
            lifespan="off",
            timeout_graceful_shutdown=_GRACE_SECONDS,
        )
        server = uvicorn.Server(config)
        reconciler.add_done_callback(lambda _: setattr(server, "should_exit", True))
        if self.stopping.is_set:
            return
        structlog.get_logger().info("server.ready", url=self._public_url(), state=str(self.state.path))
        await server.serve(sockets=[self.listener])
        structlog.get_logger().info("server.ending")

    def _public_url(self) -> str:
        if self.settings.public_url:
            return self.settings.public_url.rstrip("/")
        host, port = self.listener.getsockname()[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def _wire_lab(self, lab: labs.Lab, namespaces: Namespaces, instance: str) -> None:
        fabric = labs.fabric(lab)
        is_first = self.state.read_lab() is None
        # Written down first: should wiring break half-way, `lab down` finds what there is.
        hosts = {host.name: host.namespace for subnet in fabric.subnets for host in subnet.hosts}
        self.state.write_lab(lab.region, hosts)
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


@dataclass(frozen=True, slots=True)
class Parts:
    """What a server is made of, once its store and its data plane are there."""

    api: Api
    reconciler: Reconciler


def pool_of(region: str) -> PoolId:
    """Return the id of a region's one pool."""
    return PoolId(str(uuid.uuid5(_POOL_NAMESPACE, region)))


def compose(
    settings: Settings,
    public_url: str,
    store: Store,
    driver: Driver,
    driver_thread: Executor,
    keys: StateKeys,
    telemetry: Telemetry,
    options: ServeOptions,
) -> Parts:
    """Put use cases, identity and the loop on top of a store and a driver."""
    clock, ids = SystemClock(), RandomIds()
    wakeups, settlements = Wakeups(), Settlements()
    directory = BuiltinDirectory(store)
    pool_id = pool_of(settings.region)
    skew = timedelta(seconds=settings.clock_skew_seconds)
    reconciler = Reconciler(
        store,
        driver,
        clock,
        wakeups,
        settlements,
        telemetry,
        driver_thread,
        random.random,
        settings.sweep_interval_seconds,
        options.accept_removals,
    )
    identity = BuiltinIdentity(store, keys.signing_key, keys.sealing_key, clock, ids, skew)
    api = Api(
        region=settings.region,
        dns_domain=settings.dns_domain,
        public_url=public_url,
        clock=clock,
        identity=identity,
        issuer=identity,
        endpoint_services=EndpointServices(store, directory, clock, ids, wakeups, settings.region, pool_id),
        endpoints=Endpoints(store, directory, clock, ids, wakeups, settlements, telemetry),
        connections=Connections(store, clock, wakeups, settlements, telemetry),
        permissions=Permissions(store, clock, ids),
    )
    return Parts(api, reconciler)


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def store_lab(store: Store, lab: labs.Lab, sealing_key: bytes) -> None:
    """Fill the built-in directory and identity from a lab file."""
    vpcs, subnets, nics = labs.vpcs(lab), labs.subnets(lab), labs.nics(lab)
    await store.write(lambda tx: replace_contents(tx, vpcs, subnets, nics))
    projects = [
        NewProject(project.id, project.name, project.domain_id, project.domain_name) for project in labs.projects(lab)
    ]
    users = [
        NewUser(
            id=user.id,
            name=user.name,
            domain_id=user.domain_id,
            domain_name=user.domain_name,
            password=Secret(user.password),
            roles={user.project_id: user.roles},
            access_key=user.access_key,
            secret_key=Secret(user.secret_key) if user.secret_key is not None else None,
        )
        for user in labs.users(lab)
    ]
    await provision(store, projects, users, sealing_key=sealing_key)


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


def _listening_socket(listen: str) -> socket.socket:
    host, _, port = listen.rpartition(":")
    host = host.strip("[]")
    if not host or not port.isdigit() or int(port) > 65535:
        raise OperatorError(f"--listen is {listen!r}: write HOST:PORT, such as 127.0.0.1:8770")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, int(port)))
        # Only a listening socket keeps others off the port. Clients that come early wait until the server is ready.
        listener.listen(_CONNECTION_BACKLOG)
    except OSError as error:
        listener.close()
        raise OperatorError(f"cannot listen on {listen}: {error.strerror}; give another --listen") from error
    listener.set_inheritable(False)
    return listener


def plan(settings: Settings, state_path: Path) -> Plan:
    """Return what the next sweep would do, without doing it; the server may be running.

    Raises:
        OperatorError: there is no state, or its data plane cannot be looked at.
    """
    state = StateDirectory(state_path)
    if not state.database.exists():
        raise OperatorError(f"{state_path} holds no database: give the --state of a server")
    region = state.region(settings.region)
    try:
        namespaces = user_namespace.join(state.path)
    except user_namespace.NoHolder as error:
        raise OperatorError(f"{error}; start `landbridge serve --state {state_path}` first") from error
    driver = LinuxDriver(namespaces, state.instance(), region)
    store = SqliteStore.open(state.database, clock=SystemClock(), read_only=True)
    try:
        return asyncio.run(store.read(lambda tx: plan_everything(tx, driver)))
    finally:
        store.close()
        driver.close()
