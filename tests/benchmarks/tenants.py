"""Speak the API as one tenant, with as little in between as possible."""

import http.client
import json
import time
from collections.abc import Iterator
from typing import Any

from tests.benchmarks.failures import BenchmarkBroken, NotCarried

PAGE_SIZE = 1000
IDLE_SECONDS = 3.0
"""A server closes a connection that was idle for 5 s; one that was idle for this long is replaced before it is used."""


class Tenant:
    """A project's user with a token, on one connection that is kept alive. Not for several threads."""

    def __init__(self, port: int, project_id: str, token: str) -> None:
        self.port = port
        self.project_id = project_id
        self._headers = {"X-Auth-Token": token, "Content-Type": "application/json"}
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self._used_at = time.monotonic()
        self._token = token

    def another(self) -> "Tenant":
        """Return the same user on a connection of its own."""
        return Tenant(self.port, self.project_id, self._token)

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """Send a request and return the answer's JSON; whatever is not a success ends the run."""
        if time.monotonic() - self._used_at > IDLE_SECONDS:
            self._connection.close()
        payload = None if body is None else json.dumps(body).encode()
        self._connection.request(method, f"/v1/{self.project_id}/{path}", payload, self._headers)
        answer = self._connection.getresponse()
        content = answer.read()
        self._used_at = time.monotonic()
        if answer.status >= 300:
            raise BenchmarkBroken(f"{method} {path} was answered {answer.status}: {content.decode(errors='replace')}")
        return json.loads(content) if content else None

    def page(self, path: str, key: str) -> Iterator[Any]:
        """Yield everything that a list holds."""
        offset = 0
        while page := self.call("GET", f"{path}?limit={PAGE_SIZE}&offset={offset}")[key]:
            yield from page
            offset += len(page)

    def poll(self, path: str, status: str) -> Any:
        """Ask once a millisecond until the resource has a status. Raises NotCarried when it failed for good."""
        deadline = time.monotonic() + 30
        while (found := self.call("GET", path))["status"] != status:
            if found["status"] == "failed":
                raise NotCarried("; ".join(error["message"] for error in found["error"]) or f"{path} failed")
            if time.monotonic() > deadline:
                raise BenchmarkBroken(f"{path} is {found['status']} instead of {status}: {found.get('error')}")
            time.sleep(0.001)
        return found

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
