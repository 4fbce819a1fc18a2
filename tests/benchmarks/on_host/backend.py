"""Serve on a host of the lab what the benchmarks of the control plane connect to.

Argument: PORT. It and the next one greet: one byte as soon as somebody connects, then the end. Two, because one server
port cannot be published twice. Ends with its standard input. Workers are processes, so that no interpreter lock is
measured. Standard library only.
"""

import os
import signal
import socket
import sys

GREETERS = 2


def main() -> None:
    port = int(sys.argv[1])
    greet(port)
    greet(port + 1)
    print("ready", flush=True)
    sys.stdin.read()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.killpg(0, signal.SIGTERM)


def greet(port: int) -> None:
    """Accept in worker processes until the group is ended."""
    listener = socket.create_server(("", port), backlog=1024)
    for _ in range(GREETERS):
        if os.fork() == 0:
            while True:
                connection, _peer = listener.accept()
                try:
                    connection.sendall(b"!")
                except OSError:
                    pass  # the client gave up, as probes do
                finally:
                    connection.close()
    listener.close()


if __name__ == "__main__":
    os.setpgid(0, 0)
    main()
