"""Whatever a crash leaves undone, an acknowledged request is carried out afterwards and a refused one is not.

A server with its whole API runs on a real SQLite database and on a network in memory, which outlives it as a kernel
does. It dies at an effect that the search chooses: before or after a commit, before or after a step of a plan.
"""

import asyncio
import contextlib
import logging
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from landbridge.bootstrap.composing import pool_of
from landbridge.control.reconciler import plan_everything
from landbridge.dataplane.driver import DriverError
from landbridge.dataplane.model import WiredId
from landbridge.dataplane.plan import Plan
from landbridge.drivers.memory import MemoryDriver, MemoryNetwork
from landbridge.lab import read_lab
from landbridge.store.sqlite import SqliteStore
from tests.integration.conftest import Tenant, World, running
from tests.integration.live import LAB

GONE, FAILED = "gone", "failed"
PENDING, ACCEPTED, REJECTED, AVAILABLE = "pendingAcceptance", "accepted", "rejected", "available"
PATIENCE_SECONDS = 30.0
WITHOUT_CRASH = 10_000
MOST_SERVICES, MOST_ENDPOINTS = 4, 8


def chosen(ids: list[str], choice: int) -> str | None:
    """Return one of the ids; None if there is none."""
    return ids[choice % len(ids)] if ids else None


class Crash(Exception):
    """The process is dead; nothing has an effect any more."""


@dataclass
class Fuse:
    """Lets so many effects happen."""

    left: int = WITHOUT_CRASH

    @property
    def is_blown(self) -> bool:
        return self.left < 0

    def burn(self) -> None:
        self.left -= 1
        if self.is_blown:
            raise Crash


class CrashingDriver(MemoryDriver):
    def __init__(self, fuse: Fuse, network: MemoryNetwork | None = None) -> None:
        super().__init__(network)
        self._fuse = fuse

    def apply(self, plan: Plan) -> Mapping[WiredId, DriverError]:
        errors: dict[WiredId, DriverError] = {}
        for step in plan.steps:
            self._fuse.burn()
            errors |= super().apply(Plan((step,), is_sweep=plan.is_sweep))
        self._fuse.burn()
        return errors


class CrashingStore:
    def __init__(self, fuse: Fuse, store: SqliteStore) -> None:
        self._fuse = fuse
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def write(self, work: Callable[[Any], Any]) -> Any:
        self._fuse.burn()
        written = await self._store.write(work)
        self._fuse.burn()
        return written


@dataclass
class Known:
    """What may be of one kind of resource: several states where a crash has left open what became of a request."""

    states: dict[str, set[str]] = field(default_factory=dict)
    maybe_created: int = 0

    def having(self, *states: str) -> list[str]:
        """Return the ids of those that are surely in one of these states."""
        return [id_ for id_, possible in self.states.items() if len(possible) == 1 and possible <= set(states)]

    def asked(self, id_: str, state: str, status: int) -> None:
        """Note the answer to a request that changes something into a state."""
        if status < 300:
            self.states[id_] = {state}
        elif status >= 500:
            self.states[id_].add(state)

    def check(self, found: Mapping[str, str]) -> None:
        """Compare with what is there once all is carried out, and know it for sure from now on."""
        unknown = found.keys() - self.states.keys()
        assert len(unknown) <= self.maybe_created, f"{unknown} were never acknowledged"
        for id_, possible in self.states.items():
            assert found.get(id_, GONE) in possible, f"{id_} is {found.get(id_, GONE)}, not {possible}"
        self.states = {id_: {state} for id_, state in found.items()}
        self.maybe_created = 0


Rule = Callable[["Crashing", int], None]
"""One thing that is done, and which of those it may be done to."""


class Crashing:
    """Two tenants, and a server that dies."""

    def __init__(self, database_with_the_lab: Path) -> None:
        self._runner = asyncio.Runner()
        self._state = Path(tempfile.mkdtemp(prefix="landbridge-crashes-"))
        shutil.copy(database_with_the_lab, self._state)
        self._fuse = Fuse()
        self._network = MemoryNetwork()
        self._open: list[str] = []
        self._service_of: dict[str, str] = {}
        self.services, self.endpoints = Known(), Known()
        self._start()
        self._of_the_lab = set(self._network.labels("memory"))

    def _start(self) -> None:
        fuse = self._fuse = Fuse()
        driver = CrashingDriver(fuse, self._network)
        self._stack = contextlib.AsyncExitStack()
        server = running(self._state, driver, through=lambda store: CrashingStore(fuse, store))
        self._world: World = self._runner.run(self._stack.enter_async_context(server))
        self._acme: Tenant = self._runner.run(self._world.login("acme-admin", "acme-password", "acme"))
        self._globex: Tenant = self._runner.run(self._world.login("globex-admin", "globex-password", "globex"))

    def _end(self) -> None:
        self._runner.run(self._stack.aclose())

    def _ask(self, tenant: Tenant, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        answer = self._runner.run(tenant.call(method, path, body))
        if self._fuse.is_blown:
            self._end()
            self._start()
        return answer.status_code, answer.json() if answer.content else None

    def move(self, rule: Rule, choice: int, crash_after: int | None) -> None:
        """Do one thing; the server dies after so many more effects, if it is told to."""
        if crash_after is not None:
            self._fuse.left = min(self._fuse.left, crash_after)
        rule(self, choice)

    def create_a_service(self, _choice: int) -> None:
        if len(self.services.states) >= MOST_SERVICES:
            return
        used = len(self.services.states) + self.services.maybe_created
        body = self._world.service_body(ports=[{"client_port": 8080, "server_port": 8000 + used}])
        status, service = self._ask(self._acme, "POST", "vpc-endpoint-services", body)
        if status >= 500:
            self.services.maybe_created += 1
        elif status < 300:
            self.services.states[service["id"]] = {AVAILABLE}
            allow = {"action": "add", "permissions": ["*"]}
            path = f"vpc-endpoint-services/{service['id']}/permissions/action"
            if self._ask(self._acme, "POST", path, allow)[0] < 300:
                self._open.append(service["id"])

    def create_an_endpoint(self, choice: int) -> None:
        service_id = chosen(self._open_services(), choice)
        if service_id is None or len(self.endpoints.states) >= MOST_ENDPOINTS:
            return
        status, endpoint = self._ask(self._globex, "POST", "vpc-endpoints", self._world.endpoint_body(service_id))
        if status >= 500:
            self.endpoints.maybe_created += 1
        elif status < 300:
            self.endpoints.states[endpoint["id"]] = {PENDING}
            self._service_of[endpoint["id"]] = service_id

    def accept(self, choice: int) -> None:
        self._decide(chosen(self._decidable(PENDING, REJECTED), choice), "receive", ACCEPTED)

    def reject(self, choice: int) -> None:
        self._decide(chosen(self._decidable(PENDING, ACCEPTED), choice), "reject", REJECTED)

    def delete_an_endpoint(self, choice: int) -> None:
        id_ = chosen(self.endpoints.having(PENDING, ACCEPTED, REJECTED), choice)
        if id_ is not None:
            self.endpoints.asked(id_, GONE, self._ask(self._globex, "DELETE", f"vpc-endpoints/{id_}")[0])

    def delete_a_service(self, choice: int) -> None:
        id_ = chosen(self.services.having(AVAILABLE), choice)
        if id_ is None:
            return
        status, _ = self._ask(self._acme, "DELETE", f"vpc-endpoint-services/{id_}")
        self.services.asked(id_, GONE, status)
        if status < 300 or status >= 500:
            for endpoint_id, service_id in self._service_of.items():
                if service_id == id_ and endpoint_id in self.endpoints.states:
                    self.endpoints.states[endpoint_id].add(FAILED)

    def _open_services(self) -> list[str]:
        return [id_ for id_ in self.services.having(AVAILABLE) if id_ in self._open]

    def _decidable(self, *states: str) -> list[str]:
        return [id_ for id_ in self.endpoints.having(*states) if id_ in self._service_of]

    def _decide(self, id_: str | None, action: str, state: str) -> None:
        if id_ is None:
            return
        path = f"vpc-endpoint-services/{self._service_of[id_]}/connections/action"
        status, _ = self._ask(self._acme, "POST", path, {"action": action, "endpoints": [id_]})
        self.endpoints.asked(id_, state, status)

    def look(self, _choice: int = 0) -> None:
        """Let the server carry everything out; what is there then is what was acknowledged."""
        if self._fuse.left < WITHOUT_CRASH // 2:
            self._end()
            self._start()
        services, endpoints = self._runner.run(self._settled())
        self.services.check(services)
        self.endpoints.check(endpoints)
        labels = set(self._network.labels("memory")) - self._of_the_lab
        accepted = {id_ for id_, state in endpoints.items() if state == ACCEPTED}
        assert labels == accepted | services.keys()

    def close(self) -> None:
        self._end()
        self._runner.close()
        shutil.rmtree(self._state, ignore_errors=True)

    async def _settled(self) -> tuple[dict[str, str], dict[str, str]]:
        pool_id, driver = pool_of(read_lab(LAB).region), self._world.driver
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                services = (await self._acme.get("vpc-endpoint-services"))["endpoint_services"]
                endpoints = (await self._globex.get("vpc-endpoints"))["endpoints"]
                moving = {"creating", "deleting"}.intersection(each["status"] for each in (*services, *endpoints))
                planned = await self._world.store.read(lambda tx: plan_everything(tx, driver, pool_id))
                if not moving and not planned.steps:
                    break
                await asyncio.sleep(0.002)
        self._service_of = {each["id"]: each["endpoint_service_id"] for each in endpoints}
        return {each["id"]: each["status"] for each in services}, {each["id"]: each["status"] for each in endpoints}


@pytest.fixture
def quiet() -> Iterator[None]:
    """Log nothing: hundreds of crashes would be told with their tracebacks."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.reset_defaults()


RULES: tuple[Rule, ...] = (
    Crashing.create_a_service,
    Crashing.create_an_endpoint,
    Crashing.accept,
    Crashing.reject,
    Crashing.delete_an_endpoint,
    Crashing.delete_a_service,
    Crashing.look,
)
MOVES = st.tuples(st.sampled_from(RULES), st.integers(0, MOST_ENDPOINTS - 1), st.none() | st.integers(0, 8))
"""All is drawn before the first move, so that it does not hang on how far the server had come when it died."""


@pytest.mark.usefixtures("quiet")
@settings(
    max_examples=10,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(moves=st.lists(MOVES, min_size=20, max_size=30))
def test_no_crash_loses_what_was_acknowledged_or_does_what_was_refused(
    database_with_the_lab: Path, moves: list[tuple[Rule, int, int | None]]
):
    crashing = Crashing(database_with_the_lab)
    try:
        for move in moves:
            crashing.move(*move)
        crashing.look()
    finally:
        crashing.close()
