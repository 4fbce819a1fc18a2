"""Serve on a host of the lab what the benchmarks connect to.

Arguments: PORT CONGESTION_CONTROL. Four ports follow each other: PORT greets (one byte as soon as somebody connects,
then the end), PORT+1 swallows a stream and answers with the number of bytes, PORT+2 echoes, PORT+3 greets as well,
because one server port cannot be published twice. Ends with its standard input. Workers are processes, so that no
interpreter lock is measured. Standard library only.
"""

import os
import signal
import socket
import sys
from collections.abc import Callable

ECHO_WORKERS = 4
GREETERS = 2
BUFFER_BYTES = 1 << 20


def main() -> None:
    port, congestion_control = int(sys.argv[1]), sys.argv[2]
    serve(port, congestion_control, greet, GREETERS)
    serve(port + 1, congestion_control, swallow_in_child, 1)
    serve(port + 2, congestion_control, echo, ECHO_WORKERS)
    serve(port + 3, congestion_control, greet, GREETERS)
    print("ready", flush=True)
    sys.stdin.read()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.killpg(0, signal.SIGTERM)


def serve(port: int, congestion_control: str, answer: Callable[[socket.socket], None], workers: int) -> None:
    """Accept in worker processes until the group is ended."""
    listener = socket.create_server(("", port), backlog=1024)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, congestion_control.encode())
    for _ in range(workers):
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_IGN)
            while True:
                connection, _peer = listener.accept()
                try:
                    answer(connection)
                except OSError:
                    pass  # the client gave up, as probes do
                finally:
                    connection.close()
    listener.close()


def greet(connection: socket.socket) -> None:
    connection.sendall(b"!")


def swallow_in_child(connection: socket.socket) -> None:
    if os.fork() == 0:
        buffer, count = bytearray(BUFFER_BYTES), 0
        while received := connection.recv_into(buffer):
            count += received
        connection.sendall(count.to_bytes(8, "big"))
        os._exit(0)


def echo(connection: socket.socket) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while request := connection.recv(4096):
        connection.sendall(request)


if __name__ == "__main__":
    os.setpgid(0, 0)
    main()
