"""Connect from a host of the lab, as told on standard input, one order a line; answer each with one line of JSON.

Argument: CONGESTION_CONTROL. Orders: `probe IP PORT`, `stream IP PORT STREAMS SECONDS`, `echo IP PORT SECONDS`,
`connect IP PORT CLIENTS SECONDS`. Moments are CLOCK_MONOTONIC, which all network namespaces share.
Standard library only.
"""

import json
import os
import select
import socket
import struct
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any

CONNECT_SECONDS = 0.005
"""How long one attempt may take. An ordinary client would send its second SYN after 1 s; we look more often."""
GIVE_UP_SECONDS = 10.0
CONNECTION_SECONDS = 2.0
MESSAGE = b"x" * 64
BUFFER_BYTES = 1 << 20
# With this, closing sends a reset: no TIME_WAIT, so that a run does not use up the ports of the next one.
RESET_ON_CLOSE = struct.pack("ii", 1, 0)

congestion_control = sys.argv[1].encode()


def main() -> None:
    print("ready", flush=True)
    for line in sys.stdin:
        order, address, port, *numbers = line.split()
        answer = ORDERS[order](address, int(port), *map(float, numbers))
        print(json.dumps(answer), flush=True)


def open_socket() -> socket.socket:
    tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, congestion_control)
    tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return tcp


def connected(address: str, port: int) -> socket.socket:
    tcp = open_socket()
    tcp.settimeout(CONNECTION_SECONDS)
    tcp.connect((address, port))
    return tcp


def probe(address: str, port: int) -> dict[str, Any]:
    """Connect again and again until the first byte is there."""
    began = time.monotonic_ns()
    attempts = 0
    while time.monotonic_ns() - began < GIVE_UP_SECONDS * 1e9:
        attempts += 1
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp:
            tcp.settimeout(CONNECT_SECONDS)
            try:
                tcp.connect((address, port))
                tcp.settimeout(CONNECTION_SECONDS)
                first = tcp.recv(1)
            except OSError:
                continue
            at = time.monotonic_ns()
            if first:
                return {"began_ns": began, "first_byte_ns": at, "attempts": attempts}
    return {"began_ns": began, "first_byte_ns": None, "attempts": attempts}


def stream(address: str, port: int, streams: float, seconds: float) -> dict[str, Any]:
    """Send as much as goes through for some seconds, one process for each stream."""
    results = in_children(int(streams), lambda: connected(address, port), lambda tcp: send(tcp, seconds))
    began = min(result["began"] for result in results)
    ended = max(result["ended"] for result in results)
    return {"gigabits_per_second": sum(result["bytes"] for result in results) * 8 / (ended - began) / 1e9}


def send(tcp: socket.socket, seconds: float) -> dict[str, Any]:
    buffer = memoryview(bytes(BUFFER_BYTES))
    # The far end may need a while to empty what the kernel holds for eight streams.
    tcp.settimeout(seconds + CONNECTION_SECONDS)
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        tcp.send(buffer)
    tcp.shutdown(socket.SHUT_WR)
    # What arrived counts, and the time until it had arrived.
    arrived = int.from_bytes(tcp.recv(8, socket.MSG_WAITALL), "big")
    return {"began": began, "ended": time.monotonic(), "bytes": arrived}


def echo(address: str, port: int, seconds: float) -> dict[str, Any]:
    """Send requests and wait for their answers on one connection."""
    took: list[float] = []
    with connected(address, port) as tcp:
        deadline = time.monotonic() + seconds
        while (began := time.monotonic()) < deadline:
            tcp.sendall(MESSAGE)
            tcp.recv(len(MESSAGE), socket.MSG_WAITALL)
            took.append(time.monotonic() - began)
    took.sort()
    return {"p50_us": took[len(took) // 2] * 1e6, "p99_us": took[len(took) * 99 // 100] * 1e6, "count": len(took)}


def connect(address: str, port: int, clients: float, seconds: float) -> dict[str, Any]:
    """Connect, ask, take the answer and close, in several processes."""
    results = in_children(int(clients), lambda: None, lambda _: connect_for(address, port, seconds))
    return {"per_second": sum(result["count"] / result["seconds"] for result in results)}


def connect_for(address: str, port: int, seconds: float) -> dict[str, Any]:
    count, began = 0, time.monotonic()
    while time.monotonic() - began < seconds:
        with connected(address, port) as tcp:
            tcp.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
            tcp.sendall(MESSAGE)
            tcp.recv(len(MESSAGE), socket.MSG_WAITALL)
            count += 1
    return {"count": count, "seconds": time.monotonic() - began}


def in_children(count: int, prepare: Callable[[], Any], work: Callable[[Any], Any]) -> list[Any]:
    """Run `work` in that many processes at the same moment, and return what each made of it."""
    ready_reader, ready_writer = os.pipe()
    go_reader, go_writer = os.pipe()
    readers: list[int] = []
    children: list[int] = []
    for _ in range(count):
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            status = 1
            try:
                prepared = prepare()
                os.close(go_writer)
                os.write(ready_writer, b"r")
                os.read(go_reader, 1)  # returns when the parent closes its end
                os.write(writer, json.dumps(work(prepared)).encode())
                status = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(status)
        os.close(writer)
        readers.append(reader)
        children.append(child)
    os.close(ready_writer)
    waiting = count
    while waiting and select.select([ready_reader], [], [], GIVE_UP_SECONDS)[0]:
        arrived = os.read(ready_reader, count)
        if not arrived:
            break
        waiting -= len(arrived)
    os.close(go_writer)
    os.close(go_reader)
    os.close(ready_reader)
    texts: list[bytes] = []
    for reader in readers:
        with os.fdopen(reader, "rb") as pipe:
            texts.append(pipe.read())
    for child in children:
        os.waitpid(child, 0)
    if not all(texts):
        raise RuntimeError(f"{texts.count(b'')} of {count} connections failed")
    return [json.loads(text) for text in texts]


ORDERS: dict[str, Callable[..., dict[str, Any]]] = {"probe": probe, "stream": stream, "echo": echo, "connect": connect}

if __name__ == "__main__":
    main()
