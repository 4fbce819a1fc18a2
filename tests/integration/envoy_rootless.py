"""Carry a connection through Envoy as an ordinary user, and print what the backend saw. Run by test_envoy.

Takes the path of a state directory that is not there yet.
"""

import random
import sys
from pathlib import Path

from landbridge.drivers.linux import user_namespace


def main(state: Path) -> None:
    assert not user_namespace.is_privileged(), "root proves nothing"
    # Before anything that might start a thread is even imported.
    namespaces = user_namespace.enter(state)
    from landbridge.drivers.envoy.binary import find_envoy  # noqa: PLC0415
    from landbridge.drivers.envoy.listeners import TlvDialects  # noqa: PLC0415
    from landbridge.drivers.envoy.process import EnvoyProcess  # noqa: PLC0415
    from landbridge.drivers.envoy.proxy import Proxy  # noqa: PLC0415
    from landbridge.drivers.envoy.server import XdsServer  # noqa: PLC0415
    from tests.integration.envoy_ground import Ground  # noqa: PLC0415
    from tests.proxy_protocol import read_header  # noqa: PLC0415

    ground = Ground(namespaces)

    def new_proxy() -> tuple[EnvoyProcess, Proxy]:
        process = EnvoyProcess(
            namespaces,
            ground.hub,
            state / "envoy",
            find_envoy(),
            concurrency=1,
            listeners_limit=10,
            chance=random.random,
        )
        return process, Proxy(process, lambda path: XdsServer(path, TlvDialects(), 10, lambda _: None))

    process, proxy = new_proxy()
    try:
        failures = proxy.change((), [ground.listener(443)])
        assert not failures, failures
        pid = process.state.pid
        proxy.close()
        process, proxy = new_proxy()
        proxy.resume()
        with ground.listen(8443) as listening, ground.connect(443):
            connection, peer = listening.accept()
            header = read_header(connection)
            connection.close()
        how = "adopted" if process.state.pid == pid else "started again"
        print("an-ordinary-user", how, header.source[0], header.destination[0], peer[0])
    finally:
        proxy.stop()
        ground.remove()
        user_namespace.release(state)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
