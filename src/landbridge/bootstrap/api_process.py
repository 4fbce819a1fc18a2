"""Run the API alone: REST, use cases and identity, without any privilege, beside agents that own data planes."""

import asyncio
import contextlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import structlog

from landbridge.api.app import create_app
from landbridge.api.operators import create_operators_app
from landbridge.bootstrap.composing import DataPlane, ServeOptions, SystemClock, compose, pool_of
from landbridge.bootstrap.databases import open_hints, open_store
from landbridge.bootstrap.forwarding import AgentForwarding
from landbridge.bootstrap.hinting import Hinting
from landbridge.bootstrap.memory import settle_memory
from landbridge.bootstrap.web_server import WebServer
from landbridge.drivers.memory import MemoryDriver
from landbridge.identity.state_keys import open_state_keys
from landbridge.observability import Telemetry, configure_logging
from landbridge.settings import Settings
from landbridge.state import StateDirectory, open_state


def api(settings: Settings, options: ServeOptions) -> None:
    """Answer tenants until told to end.

    Raises:
        OperatorError: it cannot start; the message says what to do.
    """
    settle_memory()
    import uvloop  # noqa: PLC0415 — its import may start threads

    configure_logging(settings.log_level)
    state = open_state(options.state)
    settings = replace(settings, region=state.region(settings.region))
    with WebServer.open(settings) as web, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_answer(settings, options, state, web))


async def _answer(settings: Settings, options: ServeOptions, state: StateDirectory, web: WebServer) -> None:
    keys = open_state_keys(state.path)
    telemetry = Telemetry("none", pool_of(settings.region), owns_data_plane=False)
    async with contextlib.AsyncExitStack() as stack:
        store = open_store(settings, state, SystemClock())
        stack.callback(store.close)
        hinting = Hinting()
        hinting.hints = open_hints(settings, state.path, hinting.on_hint, stack)
        forwarding = AgentForwarding(store)
        stack.push_async_callback(forwarding.close)
        # Whatever concerns a data plane is handed over; here is none.
        nothing = DataPlane(MemoryDriver(), stack.enter_context(ThreadPoolExecutor(1, "nothing")))
        parts = compose(
            settings,
            web.public_url,
            store,
            keys,
            telemetry,
            options,
            nothing,
            hinting.wakeups,
            hinting.settlements,
        )
        stack.callback(parts.identity.close)
        await stack.enter_async_context(web.operators.answering(create_operators_app(parts.api, telemetry)))
        never: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def is_ready() -> bool:
            structlog.get_logger().info("api.ready", url=web.public_url, state=str(state.path))
            return True

        await web.answer(create_app(parts.api, telemetry, forwarding), never, is_ready)
        structlog.get_logger().info("api.ending")
