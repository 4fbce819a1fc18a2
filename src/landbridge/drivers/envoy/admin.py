"""Ask Envoy what it has, over its admin socket.

Asking changes nothing, and may be done beside a server that feeds the same Envoy.
"""

import http.client
import json
import socket
from pathlib import Path
from typing import Any, cast

from landbridge.drivers.envoy.listeners import ProxyListener
from landbridge.drivers.envoy.versions import Versions, read_versions

_TIMEOUT_SECONDS = 5.0
_LISTENERS = "/config_dump?resource=dynamic_listeners&mask=name,active_state.version_info"
_CLUSTERS = "/config_dump?resource=dynamic_active_clusters&mask=version_info,cluster.name"


def active_listeners(admin_socket: Path) -> list[ProxyListener]:
    """Return what an Envoy carries: the listeners that are whole and ours. Raises OSError when it does not answer."""
    clusters = {
        str(entry["cluster"]["name"]): str(entry.get("version_info", "")) for entry in _dump(admin_socket, _CLUSTERS)
    }
    found: list[ProxyListener] = []
    for entry in _dump(admin_socket, _LISTENERS):
        name = str(entry["name"])
        # Without an active state it is one that Envoy could not make.
        state = cast("dict[str, Any]", entry.get("active_state") or {})
        versions = Versions(clusters.get(name, ""), str(state.get("version_info", "")))
        listener = read_versions(name, versions)
        if listener is not None:
            found.append(listener)
    return found


def reopen_log(admin_socket: Path) -> None:
    """Let Envoy write its log into a file that it opens anew. Raises OSError when it does not answer."""
    _ask(admin_socket, "POST", "/reopen_logs")


def _dump(admin_socket: Path, path: str) -> list[dict[str, Any]]:
    try:
        answer = cast("dict[str, Any]", json.loads(_ask(admin_socket, "GET", path)))
    except ValueError as error:
        raise OSError(f"Envoy's admin socket answers something else than JSON: {error}") from error
    return cast("list[dict[str, Any]]", answer.get("configs", []))


def _ask(admin_socket: Path, method: str, path: str) -> bytes:
    connection = _UnixConnection(admin_socket)
    try:
        connection.request(method, path)
        response = connection.getresponse()
        body = response.read()
    except http.client.HTTPException as error:
        raise OSError(f"Envoy's admin socket broke off: {error!r}") from error
    finally:
        connection.close()
    if response.status != http.HTTPStatus.OK:
        raise OSError(f"Envoy's admin socket answers {path} with {response.status}")
    return body


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=_TIMEOUT_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        self.sock.settimeout(_TIMEOUT_SECONDS)
        self.sock.connect(str(self._path))
