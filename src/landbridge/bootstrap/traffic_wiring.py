"""Put together what shows traffic and what keeps the flow log.

The flow log hears the kernel in a thread of its own, from the first look at the edges until the server ends.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Collection
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path

import structlog

from landbridge.control.flow_recording import FlowRecorder
from landbridge.control.parties import PartiesBook
from landbridge.control.protocols import Clock, Store
from landbridge.control.proxied import ProxiedConnections
from landbridge.control.traffic_protocols import FlowSearch, NoFlowLog, NoTraffic, TrafficSource
from landbridge.domain.errors import OperatorError
from landbridge.domain.ids import PoolId
from landbridge.domain.resources import TcpProxy
from landbridge.drivers.linux.conntrack_events import ConntrackEvents
from landbridge.drivers.linux.namespaces import Namespaces
from landbridge.drivers.linux.traffic import LinuxTraffic
from landbridge.flow_log.reading import FlowLogReader
from landbridge.flow_log.writing import FlowLogWriter, Retention
from landbridge.observability import Telemetry
from landbridge.settings import Settings

_LOOK_SECONDS = 2.0
"""How often whoever writes the flow log hears of new endpoints, when nobody asks."""

EdgesChanged = Callable[[Collection[str]], None]
"""Takes the names of all edges' namespaces after a change; returns at once, from any thread."""


@dataclass(frozen=True, slots=True)
class TrafficParts:
    """What shows traffic."""

    source: TrafficSource
    flows: FlowSearch
    proxied: ProxiedConnections
    """Hears from the proxy, by its method `proxied`."""
    thread: Executor
    """One thread in which `source` is asked."""


def no_traffic(clock: Clock, thread: Executor) -> TrafficParts:
    """Return what shows the traffic of a data plane without packets: none."""
    return TrafficParts(NoTraffic(), NoFlowLog(), ProxiedConnections(clock.now), thread)


def linux_traffic(
    region: str, state: Path, namespaces: Namespaces, instance: str, clock: Clock, thread: Executor
) -> TrafficParts:
    """Return what shows the traffic of this machine's edges, and of the flow log in a state directory."""
    return TrafficParts(
        LinuxTraffic(namespaces, instance, region),
        FlowLogReader(flow_log_directory(state)),
        ProxiedConnections(clock.now),
        thread,
    )


def flow_log_directory(state: Path) -> Path:
    """Return where the flow log of a state directory is."""
    return state / "flow-log"


@contextlib.asynccontextmanager
async def keeping_flow_log(
    settings: Settings,
    state: Path,
    namespaces: Namespaces | None,
    instance: str,
    store: Store,
    pool_id: PoolId,
    parts: TrafficParts,
    clock: Clock,
    telemetry: Telemetry,
) -> AsyncGenerator[EdgesChanged]:
    """Keep the flow log while the block runs, if the settings want one and there are edges."""
    if namespaces is None or not settings.flow_log:
        yield _do_nothing
        return
    loop, asked = asyncio.get_running_loop(), asyncio.Event()
    book = PartiesBook(lambda endpoint: parts.source.keys_of(endpoint, TcpProxy.CLOSE).client_side)
    await book.refresh(store, pool_id)
    retention = Retention(settings.flow_log_days, settings.flow_log_mebibytes)
    log = FlowLogWriter(flow_log_directory(state), retention, telemetry, clock.now)

    def on_unknown() -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended, and nobody looks anything up any more
            loop.call_soon_threadsafe(asked.set)

    recorder = FlowRecorder(book, parts.proxied, log, telemetry, clock.now, on_unknown)
    events = await asyncio.to_thread(ConntrackEvents, namespaces, instance, settings.region, recorder)
    following = asyncio.create_task(_follow(book, store, pool_id, asked), name="flow-log")

    def edges_changed(names: Collection[str]) -> None:
        events.edges_changed(names)
        on_unknown()

    try:
        yield edges_changed
    finally:
        following.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await following
        # Not here: its thread may be in the middle of something.
        await asyncio.to_thread(events.close)
        recorder.close()


async def _follow(book: PartiesBook, store: Store, pool_id: PoolId, asked: asyncio.Event) -> None:
    while True:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LOOK_SECONDS):
                await asked.wait()
        asked.clear()
        try:
            await book.refresh(store, pool_id)
        except OperatorError as error:
            structlog.get_logger().error("flow_log.names_missing", reason=str(error))


def _do_nothing(_names: Collection[str]) -> None:
    """Nobody listens."""
