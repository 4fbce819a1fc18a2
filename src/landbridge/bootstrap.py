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
import uuid
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import structlog

from landbridge import lab as labs
from landbridge.api.app import create_app
from landbridge.api.limits import RequestLimits
from landbridge.api.services import Api
from landbridge.control.connections import Connections
from landbridge.control.endpoint_changes import EndpointChanges
from landbridge.control.endpoint_services import EndpointServices
from landbridge.control.endpoints import Endpoints
from landbridge.control.network_protocols import NetworkWiring, Unwired
from landbridge.control.networks import Networks
from landbridge.control.nics import Nics
from landbridge.control.permissions import Permissions
from landbridge.control.protocols import Store, WriteTransaction
from landbridge.control.public_services import publish
from landbridge.control.quotas import Quotas, replace_quotas
from landbridge.control.reconciler import Reconciler, plan_everything
from landbridge.control.route_tables import RouteTables
from landbridge.control.service_changes import ServiceChanges
from landbridge.control.settlements import Settlements, Wakeups
from landbridge.control.tagging import Tagging
from landbridge.dataplane.driver import Driver
from landbridge.dataplane.fabric import Fabric, with_made_networks
from landbridge.dataplane.plan import Plan
from landbridge.directory.builtin import BuiltinDirectory, replace_contents
from landbridge.domain.errors import OperatorError
from landbridge.domain.ids import PoolId
from landbridge.domain.resources import QuotaType
from landbridge.domain.validation import MODERN_TAGS, STANDARD_TAGS
from landbridge.drivers.linux import user_namespace
from landbridge.drivers.linux.driver import LinuxDriver
from landbridge.drivers.linux.lab_network import LabNetwork
from landbridge.drivers.linux.namespaces import Namespaces
from landbridge.drivers.linux.nft import NftError, NftUnavailable
from landbridge.drivers.linux.ownership import NamespaceTaken
from landbridge.drivers.memory import MemoryDriver
from landbridge.identities import ChosenIdentity, choose_identity
from landbridge.identity.provisioning import NewProject, NewUser, provision
from landbridge.identity.sealing import Secret
from landbridge.identity.state_keys import StateKeys, open_state_keys
from landbridge.lab_down import take_down_lab
from landbridge.lab_wiring import LabWiring, hosts_in
from landbridge.observability import Telemetry, configure_logging
from landbridge.settings import Settings
from landbridge.state import StateDirectory, describe_owner, forget_instance, open_state, register_instance
from landbridge.store.sqlite import SqliteStore
from landbridge.web_server import WebServer

_POOL_NAMESPACE = uuid.UUID("6c1f6d0e-3f6b-4b0e-9d7c-5d1c8f0a2b11")
_REQUESTS_PER_SECOND = 200
_FAILED_SIGNINS_PER_MINUTE = 10


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


@dataclass(frozen=True, slots=True)
class Parts:
    """What a server is made of, once its store and its data plane are there."""

    api: Api
    reconciler: Reconciler
    identity: ChosenIdentity


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
    wiring: NetworkWiring | None = None,
) -> Parts:
    """Put use cases, identity and the loop on top of a store and a driver."""
    clock, ids = SystemClock(), RandomIds()
    wakeups, settlements = Wakeups(), Settlements()
    directory = BuiltinDirectory(store)
    wiring, turn = wiring or Unwired(), asyncio.Lock()
    pool_id = pool_of(settings.region)
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
    quotas = Quotas(
        store,
        {
            QuotaType.ENDPOINT_SERVICE: settings.quota_endpoint_services,
            QuotaType.ENDPOINT: settings.quota_endpoints,
        },
    )
    chosen = choose_identity(settings, store, keys, clock, ids, telemetry)
    api = Api(
        region=settings.region,
        dns_domain=settings.dns_domain,
        public_url=public_url,
        clock=clock,
        identity=chosen.identity,
        issuer=chosen.issuer,
        limits=_request_limits(settings, telemetry, is_lab=options.lab_file is not None),
        endpoint_services=EndpointServices(store, directory, clock, ids, wakeups, settings.region, pool_id, quotas),
        service_changes=ServiceChanges(
            store, directory, clock, wakeups, settlements, telemetry, driver.capabilities, settings.region
        ),
        endpoints=Endpoints(
            store, directory, clock, ids, wakeups, settlements, telemetry, quotas, settings.whitelist_limit
        ),
        endpoint_changes=EndpointChanges(store, clock, wakeups, settlements, telemetry, settings.whitelist_limit),
        connections=Connections(store, clock, wakeups, settlements, telemetry),
        permissions=Permissions(store, clock, ids),
        networks=Networks(store, clock, ids, wiring, turn),
        nics=Nics(store, ids, wiring, turn, settings.region),
        route_tables=RouteTables(store, clock, ids),
        quotas=quotas,
        tagging=Tagging(store, MODERN_TAGS if settings.tag_limits == "modern" else STANDARD_TAGS),
    )
    return Parts(api, reconciler, chosen)


def _request_limits(settings: Settings, telemetry: Telemetry, *, is_lab: bool) -> RequestLimits:
    """Return the limits that were set; where nobody set any, the usual ones, and none in a lab."""
    requests_per_second = settings.rate_requests_per_second
    failed_signins = settings.rate_failed_signins_per_minute
    if requests_per_second is None:
        requests_per_second = 0 if is_lab else _REQUESTS_PER_SECOND
    if failed_signins is None:
        failed_signins = 0 if is_lab else _FAILED_SIGNINS_PER_MINUTE
    if not requests_per_second and not failed_signins:
        return RequestLimits(None, None, telemetry)
    from landbridge.rate_limits import GcraLimiter  # noqa: PLC0415 — 75 ms that a lab need not wait

    burst = settings.rate_burst or 2 * requests_per_second
    return RequestLimits(
        GcraLimiter(requests_per_second, 1, burst) if requests_per_second else None,
        GcraLimiter(failed_signins, 60, failed_signins) if failed_signins else None,
        telemetry,
    )


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def store_lab(store: Store, lab: labs.Lab, sealing_key: bytes) -> None:
    """Fill the built-in directory and identity from a lab file, and publish its public services."""
    vpcs, subnets, nics = labs.vpcs(lab), labs.subnets(lab), labs.nics(lab)
    now = SystemClock().now()
    offers, pool_id = labs.public_services(lab), pool_of(lab.region)

    def networks_and_services(tx: WriteTransaction) -> None:
        # Services first: a public one may leave, or move away from, a host that the file does not have any more.
        publish(tx, offers, pool_id, now)
        replace_contents(tx, vpcs, subnets, nics, now)

    await store.write(networks_and_services)
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
    await store.write(lambda tx: replace_quotas(tx, labs.quotas(lab)))


async def whole_fabric(store: Store, lab: labs.Lab) -> Fabric:
    """Return what is to be wired: what the lab file describes, and what was made through the VPC API."""
    subnets, nics = await store.read(lambda tx: (tx.subnets(), tx.nics()))
    return with_made_networks(labs.fabric(lab), subnets, nics)


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
