"""Give the Linux driver its engines: the proxy, and the programs that write into packets.

What this machine cannot do is no reason not to start: the modes that need it are refused, with the reason.
"""

import random
from collections.abc import Callable
from pathlib import Path

from landbridge.domain.errors import OperatorError
from landbridge.domain.resources import TcpProxy
from landbridge.drivers.envoy.binary import find_envoy
from landbridge.drivers.envoy.listeners import Feed, ProxiedConnection, ProxyUnavailable, TlvDialects
from landbridge.drivers.envoy.process import EnvoyProcess
from landbridge.drivers.envoy.proxy import Proxy
from landbridge.drivers.envoy.recorded import stop_process
from landbridge.drivers.envoy.startup import Files
from landbridge.drivers.linux import ownership
from landbridge.drivers.linux.driver import LinuxDriver
from landbridge.drivers.linux.elements import HUB
from landbridge.drivers.linux.engines import Engine
from landbridge.drivers.linux.headers import HeaderEngine
from landbridge.drivers.linux.namespaces import Namespaces
from landbridge.drivers.linux.options import OptionEngine
from landbridge.drivers.linux.proxying import ProxyEngine
from landbridge.settings import PROXY_DIALECTS, Settings


def linux_driver(
    settings: Settings,
    state: Path,
    namespaces: Namespaces,
    instance: str,
    region: str,
    on_connection: Callable[[ProxiedConnection], None] | None,
) -> LinuxDriver:
    """Return the driver of this machine, with all that the machine can carry.

    A server gives `on_connection`, which hears of the proxy's connections, and takes up the proxy that runs already,
    if one does. Who gives none only looks.

    Raises:
        OperatorError: the proxy's settings do not fit together.
    """
    engines: list[Engine] = []
    refusals: dict[TcpProxy, str] = {}
    dialects = _dialects(settings)
    try:
        proxy = _proxy(settings, dialects, state, namespaces, region, on_connection or _nobody)
        if on_connection is not None:
            proxy.resume()
        engines.append(ProxyEngine(namespaces, region, proxy))
    except ProxyUnavailable as error:
        refusals[TcpProxy.PROXY_OPEN] = str(error)
    refusal = OptionEngine.supported()
    if refusal is None:
        engines.append(OptionEngine(namespaces, instance, region))
        refusal = HeaderEngine.supported()
        if refusal is None:
            engines.append(HeaderEngine(namespaces, instance, region, dialects.fields))
        else:
            refusals[TcpProxy.OPEN] = refusal
    else:
        refusals |= {TcpProxy.TOA_OPEN: refusal, TcpProxy.OPEN: refusal}
    return LinuxDriver(namespaces, instance, region, engines, refusals)


def stop_proxy(state: Path) -> None:
    """End the proxy of a state directory, and what it carries, if one runs."""
    stop_process(Files(_directory(state)))


def _dialects(settings: Settings) -> TlvDialects:
    chosen = {name: name in settings.proxy_id_dialects for name in PROXY_DIALECTS}
    try:
        return TlvDialects(settings.proxy_marker_type, **chosen)
    except ValueError as error:
        raise OperatorError(f"proxy_marker_type does not fit: {error}") from error


def _proxy(
    settings: Settings,
    dialects: TlvDialects,
    state: Path,
    namespaces: Namespaces,
    region: str,
    on_connection: Callable[[ProxiedConnection], None],
) -> Proxy:
    process = EnvoyProcess(
        namespaces,
        ownership.edge_namespace(region, HUB),
        _directory(state),
        find_envoy(settings.proxy_program),
        settings.proxy_concurrency,
        settings.proxy_listeners_limit,
        random.random,
    )

    def open_feed(socket: Path) -> Feed:
        from landbridge.drivers.envoy.server import XdsServer  # noqa: PLC0415 — 0.4 s that most starts can do without

        return XdsServer(socket, dialects, process.budget.listeners, on_connection)

    return Proxy(process, open_feed)


def _directory(state: Path) -> Path:
    return state / "proxy"


def _nobody(_connection: ProxiedConnection) -> None:
    """Hear of no connection."""
