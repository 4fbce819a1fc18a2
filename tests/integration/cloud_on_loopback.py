"""A cloud of one project on loopback: Keystone-shaped sign-in, and VPCEP answers that a test writes down.

Each answer belongs to a method and a path below the project. Several answers are given one after the other,
and the last one stays. Everything that is asked is kept for the test to look at.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

PROJECT_ID = "0d5c0000000000000000000000000001"
PASSWORD = "correct-horse-battery"
REQUEST_ID = "req-0001"


@dataclass
class Asked:
    """One request that reached the VPCEP API."""

    method: str
    path: str
    query: dict[str, str]
    body: Any


@dataclass
class Cloud:
    """What the cloud answers, and what it was asked."""

    url: str
    region: str = "lab-1"
    token: str = "token-1"
    tokens_given: int = 0
    requests_per_token: int = 1000
    answers: dict[tuple[str, str], list[tuple[int, Any]]] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)

    def answer(self, method: str, path: str, *bodies: Any, status: int = 200) -> None:
        """Write down answers; a body may be a pair (status, body)."""
        self.answers[method, path] = [body if isinstance(body, tuple) else (status, body) for body in bodies]

    def refuse(self, method: str, path: str, status: int, code: str, message: str) -> None:
        """Write down an error in the form of contract 1.7."""
        self.answer(method, path, refusal(code, message), status=status)

    def asked_for(self, method: str) -> list[Asked]:
        """Return the requests with this method."""
        return [one for one in self.asked if one.method == method]

    @property
    def settings(self) -> dict[str, str]:
        """The variables with which a tenant signs in."""
        return {
            "OS_AUTH_URL": f"{self.url}/v3",
            "OS_USERNAME": "acme-admin",
            "OS_PASSWORD": PASSWORD,
            "OS_PROJECT_NAME": "acme",
            "OS_USER_DOMAIN_NAME": "acme",
            "OS_PROJECT_DOMAIN_NAME": "acme",
            "OS_REGION_NAME": "lab-1",
        }


def refusal(code: str, message: str) -> dict[str, Any]:
    """Return the body of an error (contract 1.7)."""
    return {"error": {"code": code, "message": message}, "error_code": code, "error_msg": message}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    cloud: Cloud

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Stay silent."""

    def handle_any(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        address = urlsplit(self.path)
        if address.path.rstrip("/") == "/v3":
            links = [{"rel": "self", "href": f"{self.cloud.url}/v3/"}]
            self.reply(200, {"version": {"id": "v3.14", "status": "stable", "links": links, "media-types": []}})
        elif address.path == "/v3/auth/tokens":
            self.sign_in(body["auth"])
        elif self.headers.get("X-Auth-Token") != self.cloud.token:
            self.reply(401, refusal("EndPoint.0003", "The token is not valid"))
        else:
            path = address.path.removeprefix(f"/v1/{PROJECT_ID}")
            self.cloud.asked.append(Asked(self.command, path, dict(parse_qsl(address.query)), body))
            if len(self.cloud.asked) % self.cloud.requests_per_token == 0:
                self.cloud.token = f"token-after-{len(self.cloud.asked)}"
            left = self.cloud.answers.get((self.command, path), [(404, refusal("EndPoint.0005", f"no {path}"))])
            status, answer = left.pop(0) if len(left) > 1 else left[0]
            self.reply(status, answer)

    do_GET = do_POST = do_PUT = do_DELETE = handle_any  # noqa: N815

    def sign_in(self, auth: dict[str, Any]) -> None:
        if auth["identity"]["password"]["user"]["password"] != PASSWORD:
            self.reply(401, {"error": {"code": 401, "message": "Wrong name or password.", "title": "Unauthorized"}})
            return
        self.cloud.tokens_given += 1
        endpoint = {
            "id": "e2",
            "interface": "public",
            "region": self.cloud.region,
            "region_id": self.cloud.region,
            "url": f"{self.cloud.url}/v1/{PROJECT_ID}",
        }
        token = {
            "methods": ["password"],
            "issued_at": "2026-11-22T17:00:00.000000Z",
            "expires_at": "2099-11-23T17:00:00.000000Z",
            "user": {"id": "u1", "name": "acme-admin", "domain": {"id": "d1", "name": "acme"}},
            "project": {"id": PROJECT_ID, "name": "acme", "domain": {"id": "d1", "name": "acme"}},
            "roles": [{"id": "0", "name": "admin"}],
            "catalog": [{"id": "c2", "type": "vpcep", "name": "vpcep", "endpoints": [endpoint]}],
        }
        self.reply(201, {"token": token}, {"X-Subject-Token": self.cloud.token})

    def reply(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        content = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"X-Request-Id": REQUEST_ID, **(headers or {})}.items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@contextmanager
def cloud_on_loopback() -> Iterator[Cloud]:
    """Run the cloud in a thread."""
    handler = type("Handler", (_Handler,), {})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        handler.cloud = Cloud(f"http://127.0.0.1:{server.server_address[1]}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield handler.cloud
        finally:
            server.shutdown()
            thread.join()
