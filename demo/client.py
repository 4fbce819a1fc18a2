"""Fetch http://IP:PORT/ from inside a host, and say how it went in one line of JSON.

Arguments: IP PORT SECONDS. Tries again until SECONDS are over; `first_byte_at` is CLOCK_MONOTONIC in seconds, so that
whoever started this can measure from a moment of its own.
"""

import json
import socket
import sys
import time

ATTEMPT_SECONDS = 0.025

address, port, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
deadline = time.monotonic() + seconds
print("trying", flush=True)
attempts = 0
while time.monotonic() < deadline:
    attempts += 1
    try:
        with socket.create_connection((address, port), timeout=ATTEMPT_SECONDS) as connection:
            connection.settimeout(2)
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
            first = connection.recv(65536)
            first_byte_at = time.monotonic()
            if first:
                rest = b"".join(iter(lambda: connection.recv(65536), b""))
                page = (first + rest).partition(b"\r\n\r\n")[2].decode()
                print(json.dumps({"page": page.strip(), "first_byte_at": first_byte_at, "attempts": attempts}))
                sys.exit(0)
    except OSError:
        continue
print(json.dumps({"page": None, "attempts": attempts}))
sys.exit(1)
