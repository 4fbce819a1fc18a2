"""Compare database and data plane, beside a server that may be running.

Needs no lock, and makes no file: where there is nothing to look at, that is said.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from landbridge.bootstrap.composing import SystemClock, pool_of
from landbridge.bootstrap.databases import open_to_look
from landbridge.bootstrap.engines import linux_driver
from landbridge.control.verifying import Probing, Verification, Verifier
from landbridge.dataplane.bridging import by_subnet
from landbridge.dataplane.compile import Terms
from landbridge.dataplane.driver import DriverError
from landbridge.domain.errors import OperatorError
from landbridge.drivers.linux import user_namespace
from landbridge.drivers.linux.looking import LinuxLooker
from landbridge.drivers.linux.namespaces import Namespaces
from landbridge.drivers.linux.nft import NftUnavailable
from landbridge.drivers.linux.probing import HubProber
from landbridge.settings import Settings
from landbridge.state import StateDirectory


def verify(settings: Settings, state_path: Path, probing: Probing) -> Verification:
    """Return what differs between the database and this machine's data plane of the settings' pool.

    Raises:
        OperatorError: one of them cannot be looked at; the message says what to do.
    """
    if settings.driver != "linux":
        raise OperatorError(f"the driver {settings.driver} has its data plane inside the server: nobody else can look")
    state = StateDirectory(state_path)
    if not all((state_path / name).is_file() for name in ("instance", "region")):
        raise OperatorError(f"{state_path} belongs to no installation: give the --state of a server or agent")
    if not settings.database and not state.database.exists():
        raise OperatorError(f"{state_path} holds no database: give the --config that names it, or another --state")
    region = state.region(settings.region)
    try:
        namespaces = user_namespace.join(state.path)
    except user_namespace.NoHolder as error:
        raise OperatorError(f"{error}; start the server or agent of {state_path} first") from error
    try:
        return _verify(settings, state, namespaces, region, probing)
    except DriverError as error:
        raise OperatorError(f"{error}; run this as the user of the server or agent") from error
    except (OSError, NftUnavailable) as error:
        raise OperatorError(f"cannot look: {error}") from error


def _verify(
    settings: Settings, state: StateDirectory, namespaces: Namespaces, region: str, probing: Probing
) -> Verification:
    instance, clock = state.instance(), SystemClock()
    driver = linux_driver(settings, state.path, namespaces, instance, region, None)
    looker = LinuxLooker(namespaces, instance, region, driver.engines)
    prober = HubProber(namespaces, instance, region)
    store = open_to_look(settings, state)
    with ThreadPoolExecutor(1, "looking") as driver_thread:
        verifier = Verifier(
            store,
            looker,
            prober,
            pool_of(region, settings.pool),
            driver.capabilities,
            lambda: Terms(clock.now(), settings.connections_per_endpoint),
            driver_thread,
            by_subnet(settings.attachments),
        )
        try:
            return asyncio.run(verifier.verify(probing))
        finally:
            prober.close()
            looker.close()
            driver.close()
            store.close()
