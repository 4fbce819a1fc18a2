"""Look at what a sweep would do, beside a server that may be running."""

import asyncio
from pathlib import Path

from landbridge.bootstrap.composing import SystemClock, pool_of
from landbridge.bootstrap.databases import open_to_look
from landbridge.bootstrap.engines import linux_driver
from landbridge.control.reconciler import plan_everything
from landbridge.dataplane.bridging import by_subnet
from landbridge.dataplane.compile import Terms
from landbridge.dataplane.plan import Plan
from landbridge.domain.errors import OperatorError
from landbridge.drivers.linux import user_namespace
from landbridge.settings import Settings
from landbridge.state import StateDirectory


def plan(settings: Settings, state_path: Path) -> Plan:
    """Return what the next sweep would do, without doing it; the server may be running.

    Raises:
        OperatorError: there is no state, or its data plane cannot be looked at.
    """
    state = StateDirectory(state_path)
    if not settings.database and not state.database.exists():
        raise OperatorError(f"{state_path} holds no database: give the --state of a server")
    region = state.region(settings.region)
    try:
        namespaces = user_namespace.join(state.path)
    except user_namespace.NoHolder as error:
        raise OperatorError(f"{error}; start `landbridge serve --state {state_path}` first") from error
    driver = linux_driver(settings, state.path, namespaces, state.instance(), region, None)
    bridged = by_subnet(settings.attachments)
    terms = Terms(SystemClock().now(), settings.connections_per_endpoint)
    store = open_to_look(settings, state)
    try:
        return asyncio.run(
            store.read(lambda tx: plan_everything(tx, driver, pool_of(region, settings.pool), bridged, terms))
        )
    finally:
        store.close()
        driver.close()
