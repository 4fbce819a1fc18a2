"""A whole server without sockets: real database, real identity, the reference driver, requests over ASGI."""

import asyncio
import contextlib
import json
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest

from landbridge import lab as labs
from landbridge.api.app import create_app
from landbridge.api.operators import create_operators_app
from landbridge.bootstrap.composing import DataPlane, Parts, ServeOptions, SystemClock, announce, compose, pool_of
from landbridge.bootstrap.diagnosis_wiring import BLIND, Eyes
from landbridge.bootstrap.lab_start import store_lab
from landbridge.bootstrap.traffic_wiring import TrafficParts
from landbridge.control.protocols import Clock
from landbridge.control.settlements import Settlements, Wakeups
from landbridge.dataplane.pools import Pool
from landbridge.drivers.memory import MemoryDriver
from landbridge.identity.state_keys import StateKeys
from landbridge.observability import Telemetry
from landbridge.settings import DEFAULT_POOL, Settings
from landbridge.store.sqlite import SqliteStore
from tests.integration.described import DescribedTransport
from tests.integration.live import Server, live_server

LAB = Path(__file__).parent.parent / "labs" / "two-vpcs.yaml"
PUBLIC_URL = "http://vpcep.test:8770"
_TOKENS: dict[str, str] = {}


@dataclass
class Tenant:
    """A client with a token of one project."""

    http: httpx.AsyncClient
    project_id: str
    domain_id: str
    token: str = field(repr=False)

    async def call(self, method: str, path: str, body: Any = None, **options: Any) -> httpx.Response:
        """Send a request to a path below the project."""
        headers = {"X-Auth-Token": self.token} | options.pop("headers", {})
        content = options.pop("content", None)
        if body is not None:
            content = json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        url = f"/v1/{self.project_id}/{path}"
        return await self.http.request(method, url, headers=headers, content=content, **options)

    async def get(self, path: str, **params: Any) -> Any:
        """GET something that must be there."""
        answer = await self.call("GET", path, params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def post(self, path: str, body: Any) -> Any:
        """POST something that must succeed."""
        answer = await self.call("POST", path, body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def refused(self, method: str, path: str, body: Any = None, **options: Any) -> tuple[int, str]:
        """Send something that must be refused; return status and code, after checking the shape of the error."""
        answer = await self.call(method, path, body, **options)
        error = answer.json()
        assert error["error"] == {"code": error["error_code"], "message": error["error_msg"]}
        assert error["error_msg"]
        return answer.status_code, error["error_code"]

    async def until(self, path: str, status: str) -> Any:
        """Poll a resource until it has a status."""
        for _ in range(500):
            found = await self.get(path)
            if found["status"] == status:
                return found
            await asyncio.sleep(0.002)
        raise AssertionError(f"{path} is {found['status']}, not {status}")


@dataclass
class World:
    """The server and what it stands on."""

    http: httpx.AsyncClient
    operators: httpx.AsyncClient
    """Asks on the operator's port."""
    parts: Parts
    store: SqliteStore
    driver: MemoryDriver
    telemetry: Telemetry
    ids: dict[str, Any]
    loop: asyncio.Task[None]

    async def login(self, user: str, password: str, project: str) -> Tenant:
        """Return a client of a lab user; the token is asked for once, as it is good in every copy of a database."""
        facts = self.ids["projects"][project]
        # A token ends with its password, so it is not good where the same password was hashed anew.
        record = await self.store.read(lambda tx: tx.users_named(user))
        key = f"{user} {[one.password_hash for one in record]}"
        if key not in _TOKENS:
            _TOKENS[key] = await self._token(user, password, project)
        return Tenant(self.http, facts["project_id"], facts["domain_id"], _TOKENS[key])

    async def _token(self, user: str, password: str, project: str) -> str:
        domain = {"name": project}
        identity = {
            "methods": ["password"],
            "password": {"user": {"name": user, "password": password, "domain": domain}},
        }
        body = {"auth": {"identity": identity, "scope": {"project": {"name": project, "domain": domain}}}}
        answer = await self.http.post("/v3/auth/tokens", json=body)
        assert answer.status_code == 201, answer.text
        return answer.headers["X-Subject-Token"]

    def service_body(self, host: str = "web-1", vpc: str = "acme-vpc", **changes: Any) -> dict[str, Any]:
        """Return a create-service body for a host of the lab."""
        return {
            "port_id": self.ids["hosts"][host]["port_id"],
            "vpc_id": self.ids["vpcs"][vpc]["vpc_id"],
            "server_type": "VM",
            "ports": [{"client_port": 8080, "server_port": 80}],
        } | changes

    def endpoint_body(self, service_id: str, subnet: str = "globex-vpc/apps", **changes: Any) -> dict[str, Any]:
        """Return a create-endpoint body for a subnet of the lab."""
        vpc = subnet.partition("/")[0]
        return {
            "endpoint_service_id": service_id,
            "vpc_id": self.ids["vpcs"][vpc]["vpc_id"],
            "subnet_id": self.ids["subnets"][subnet]["subnet_id"],
        } | changes

    async def available_service(self, provider: Tenant, **changes: Any) -> Any:
        """Create a service that everybody may connect to, and wait until it is available."""
        service = await provider.post("vpc-endpoint-services", self.service_body(**changes))
        await provider.post(
            f"vpc-endpoint-services/{service['id']}/permissions/action", {"action": "add", "permissions": ["*"]}
        )
        return await provider.until(f"vpc-endpoint-services/{service['id']}", "available")


@contextlib.asynccontextmanager
async def running(
    state: Path,
    driver: MemoryDriver | None = None,
    *,
    confirm_removals: bool = False,
    sweeps_first: bool = True,
    eyes: Eyes = BLIND,
    traffic: TrafficParts | None = None,
    through: Callable[[SqliteStore], Any] = lambda store: store,
    wakeups: Wakeups | None = None,
    settlements: Settlements | None = None,
    clock: Clock | None = None,
    lab: labs.Lab | None = None,
    **changes: Any,
) -> AsyncIterator[World]:
    """Run a server in this process on a state directory, which has the lab if it has a database.

    `changes` are settings that differ from their defaults. The server has its store `through` something. Hints and
    clock are the usual ones if none are given.
    """
    lab = lab or _lab()
    keys = StateKeys(b"s" * 32, b"k" * 32)
    telemetry = Telemetry("memory", pool_of(lab.region))
    # As in a lab: tests ask more in a second than people do.
    no_limits = {"rate_requests_per_second": 0, "rate_failed_signins_per_minute": 0}
    chosen = Settings(region=lab.region, driver="memory", **(no_limits | changes))
    driver = driver or MemoryDriver()
    database = state / "landbridge.sqlite3"
    is_new = not database.exists()
    store = SqliteStore.open(database, clock=clock or SystemClock())
    with contextlib.closing(store), ThreadPoolExecutor(1) as thread:
        await announce(store, Pool(pool_of(lab.region), DEFAULT_POOL, driver.capabilities))
        if is_new:
            await store_lab(store, lab, keys.sealing_key)
        options = ServeOptions(state, confirm_removals=confirm_removals)
        data_plane = DataPlane(driver, thread, eyes, traffic)
        served = through(store)
        parts = compose(chosen, PUBLIC_URL, served, keys, telemetry, options, data_plane, wakeups, settlements, clock)
        if sweeps_first:
            await parts.reconciler.sweep()
        loop = asyncio.create_task(parts.reconciler.run())
        transport = httpx.ASGITransport(create_app(parts.api, telemetry), raise_app_exceptions=False)
        operators_transport = httpx.ASGITransport(create_operators_app(parts.api, telemetry))
        async with (
            httpx.AsyncClient(transport=DescribedTransport(transport), base_url=PUBLIC_URL) as http,
            httpx.AsyncClient(transport=operators_transport, base_url="http://operators.test") as operators,
        ):
            try:
                yield World(http, operators, parts, store, driver, telemetry, labs.show(lab), loop)
            finally:
                loop.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await loop


@cache
def _lab() -> labs.Lab:
    return labs.read_lab(LAB)


@pytest.fixture(scope="session")
def database_with_the_lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the database once: hashing passwords takes its time on purpose."""
    state = tmp_path_factory.mktemp("lab")

    async def make() -> None:
        async with running(state):
            pass

    asyncio.run(make())
    return state / "landbridge.sqlite3"


@pytest.fixture
async def world(tmp_path: Path, database_with_the_lab: Path) -> AsyncIterator[World]:
    shutil.copy(database_with_the_lab, tmp_path)
    async with running(tmp_path) as running_world:
        yield running_world


@pytest.fixture
async def acme(world: World) -> Tenant:
    return await world.login("acme-admin", "acme-password", "acme")


@pytest.fixture
async def globex(world: World) -> Tenant:
    return await world.login("globex-admin", "globex-password", "globex")


@pytest.fixture
async def initech(world: World) -> Tenant:
    return await world.login("initech-admin", "initech-password", "initech")


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with live_server(tmp_path_factory.mktemp("live")) as running_server:
        yield running_server
