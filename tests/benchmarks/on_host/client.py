"""Connect from a host of the lab, as told on standard input, one order a line; answer each with one line of JSON.

Order: `probe IP PORT`, tried until the first byte is there. Moments are CLOCK_MONOTONIC, which all network namespaces
share. Standard library only.
"""

import json
import socket
import sys
import time
from typing import Any

CONNECT_SECONDS = 0.005
"""How long one attempt may take. An ordinary client would send its second SYN after 1 s; we look more often."""
GIVE_UP_SECONDS = 10.0
CONNECTION_SECONDS = 2.0


def main() -> None:
    print("ready", flush=True)
    for line in sys.stdin:
        _order, address, port = line.split()
        print(json.dumps(probe(address, int(port))), flush=True)


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


if __name__ == "__main__":
    main()
