"""Run servers in the background, on free ports of the loopback interface, until a block ends."""

import contextlib
import socket
import subprocess
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path

_STOP_SECONDS = 20.0


@contextlib.contextmanager
def in_background(
    command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None
) -> Generator[subprocess.Popen[bytes]]:
    """Run a program while the block runs; it may have ended before."""
    # In a group of its own, like all that is started here: Ctrl-C is ours to answer, and ends everything in order.
    with (
        log.open("ab") as output,
        subprocess.Popen(command, stdout=output, stderr=output, env=environment, process_group=0) as process,
    ):
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


def free_port() -> int:
    """Return a port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answers(port: int) -> bool:
    """Say whether an HTTP server answers there."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")
            return connection.recv(5) == b"HTTP/"
    except OSError:
        return False
