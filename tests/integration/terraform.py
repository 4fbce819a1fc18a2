"""Behave as the Terraform providers do (contract 12.3, 12.4, 8.6), without Terraform: they are Go programs.

`GoClient` signs as their libraries sign, takes only the status codes that they take, and decodes as strictly as Go
does: a text is no number, an object is no list. `wait` gives up on a state that is not in the provider's list, as the
provider does; only its pauses are shorter.
"""

import hashlib
import hmac
import json
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, quote

import httpx

POLL_SECONDS = 0.01
PATIENCE_SECONDS = 10.0

BOOLEANS = {"approval_enabled", "enable_dns", "enable_whitelist", "is_charge", "enable_policy"}
INTEGERS = {"total_count", "marker_id", "connection_count", "client_port", "server_port", "used", "quota"}
LISTS = {
    "ports",
    "tags",
    "error",
    "dns_names",
    "active_status",
    "whitelist",
    "routetables",
    "connections",
    "permissions",
    "endpoint_services",
    "endpoints",
    "resources",
    "values",
}
TIMES = {"created_at", "updated_at"}


def check_types(value: Any, name: str = "") -> None:
    """Fail where Go's decoder would."""
    if value is None:
        return
    if name in BOOLEANS:
        assert isinstance(value, bool), (name, value)
    elif name in INTEGERS:
        assert type(value) is int, (name, value)
    elif name in LISTS:
        assert isinstance(value, list), (name, value)
    elif name in TIMES:
        datetime.strptime(value, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    if isinstance(value, dict):
        for key, item in value.items():
            check_types(item, key)
    elif isinstance(value, list):
        for item in value:
            check_types(item)


def only_list(body: dict[str, Any]) -> list[Any]:
    """Return the one list of an object, as golangsdk's pager finds it."""
    lists = [value for value in body.values() if isinstance(value, list)]
    assert len(lists) == 1, body
    return lists[0]


@dataclass(frozen=True)
class GoClient:
    """A provider's client of one project. `dialect`: `golangsdk`, `gophertelekomcloud`, or a token's text."""

    base: str
    project_id: str
    dialect: str
    access_key: str = ""
    secret_key: str = ""

    def send(self, method: str, path: str, body: Any = None, ok: Collection[int] = (200,)) -> Any:
        """Send a request to a path below the project; return the decoded answer, None for one without a body."""
        answer = self.answer(method, f"/v1/{self.project_id}/{path}", body)
        assert answer.status_code in ok, (method, path, answer.status_code, answer.text)
        if answer.status_code == 204:
            assert answer.content == b""
            return None
        decoded = answer.json()
        check_types(decoded)
        return decoded

    def answer(self, method: str, path: str, body: Any = None) -> httpx.Response:
        """Send a request; return whatever comes."""
        content = b"" if body is None else json.dumps(body).encode()
        url = httpx.URL(self.base + path)
        headers = self._headers(method, url, content)
        return httpx.request(method, url, content=content, headers=headers, timeout=10)

    def pages(self, path: str) -> Iterator[Any]:
        """Walk a list as golangsdk's AllPages: the first page as it comes, then more of its size until an empty one."""
        page = only_list(self.send("GET", path))
        size, offset = len(page), 0
        while page:
            yield from page
            offset += size
            separator = "&" if "?" in path else "?"
            page = only_list(self.send("GET", f"{path}{separator}limit={size}&offset={offset}"))

    def wait(self, path: str, pending: Collection[str], target: Collection[str]) -> Any:
        """Poll a resource until its status is one of `target`; any status that is not pending aborts."""
        return wait(lambda: self.send("GET", path), pending, target)

    def wait_until_gone(self, path: str, pending: Collection[str]) -> None:
        """Poll a resource until 404; any status that is not pending aborts."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (answer := self.answer("GET", f"/v1/{self.project_id}/{path}")).status_code != 404:
            assert answer.status_code == 200, answer.text
            assert answer.json()["status"] in pending, answer.text
            assert time.monotonic() < deadline, answer.text
            time.sleep(POLL_SECONDS)

    def _headers(self, method: str, url: httpx.URL, content: bytes) -> dict[str, str]:
        if self.dialect not in {"golangsdk", "gophertelekomcloud"}:
            return {"X-Auth-Token": self.dialect, "Content-Type": "application/json"}
        date = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        headers = {"Content-Type": "application/json", "X-Sdk-Date": date}
        is_otc = self.dialect == "gophertelekomcloud"
        # golangsdk signs before the host is known to it, and adds the project afterwards.
        headers |= (
            {"Host": url.netloc.decode()} if is_otc else {"Accept": "application/json", "User-Agent": "golangsdk/2.0.0"}
        )
        names = sorted(name.lower() for name in headers)
        signed = ";".join(names)
        lower = {name.lower(): value for name, value in headers.items()}
        body_hash, query = hashlib.sha256(content).hexdigest(), _canonical_query(url)
        if is_otc and method == "POST" and not content:
            body_hash, query = hashlib.sha256(query.encode()).hexdigest(), ""
        path = quote(url.path, safe="/-._~") + "/"
        lines = [method, path, query, *(f"{name}:{lower[name]}" for name in names), "", signed, body_hash]
        digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
        if is_otc:
            scope = f"{date[:8]}///sdk_request"
            key = f"SDK{self.secret_key}".encode()
            for part in (date[:8], "", "", "sdk_request"):
                key = hmac.digest(key, part.encode(), "sha256")
            to_sign, who = f"SDK-HMAC-SHA256\n{date}\n{scope}\n{digest}", f"Credential={self.access_key}/{scope}"
        else:
            key = self.secret_key.encode()
            to_sign, who = f"SDK-HMAC-SHA256\n{date}\n{digest}", f"Access={self.access_key}"
        signature = hmac.new(key, to_sign.encode(), "sha256").hexdigest()
        headers["Authorization"] = f"SDK-HMAC-SHA256 {who}, SignedHeaders={signed}, Signature={signature}"
        return headers | {"X-Project-Id": self.project_id}


def wait(look: Callable[[], Any], pending: Collection[str], target: Collection[str]) -> Any:
    """Look until the status is one of `target`; any status that is not pending aborts."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (found := look())["status"] not in target:
        assert found["status"] in pending, found
        assert time.monotonic() < deadline, found
        time.sleep(POLL_SECONDS)
    return found


def _canonical_query(url: httpx.URL) -> str:
    pairs = sorted(parse_qsl(url.query.decode(), keep_blank_values=True))
    return "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in pairs)
