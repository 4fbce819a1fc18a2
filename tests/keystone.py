"""A real Keystone for tests: started once, with a service user for Landbridge in it.

Tests share it. Each makes the domains, projects and users that it needs, so that nothing a test does is seen by others;
only `stopped` touches everybody, and puts the server back before it returns.
"""

import contextlib
import json
import os
import secrets
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from threading import Timer
from typing import Any, cast

import pytest

SERVER = Path(__file__).with_name("keystone_server.py")
START_SECONDS = 90
"""It takes five; more only where the machine has much else to do."""

SERVICE_USER, SERVICE_PASSWORD = "landbridge", "password of the service user"
REGION = "lab-1"


@dataclass(frozen=True)
class Answer:
    """What Keystone answered."""

    status: int
    body: Any
    subject_token: str


@dataclass(frozen=True)
class Account:
    """A domain with one project of the same name."""

    domain_id: str
    project_id: str
    name: str


@dataclass(frozen=True)
class Person:
    """A user with a role in the project of an account."""

    id: str
    name: str
    password: str
    account: Account

    def openstack_variables(self, auth_url: str) -> dict[str, str]:
        """Return what `openstack` reads from the environment to be this user."""
        return {
            "OS_AUTH_URL": auth_url,
            "OS_USERNAME": self.name,
            "OS_PASSWORD": self.password,
            "OS_USER_DOMAIN_NAME": self.account.name,
            "OS_PROJECT_NAME": self.account.name,
            "OS_PROJECT_DOMAIN_NAME": self.account.name,
            "OS_IDENTITY_API_VERSION": "3",
        }


@dataclass(frozen=True)
class KeyPair:
    """An EC2 credential."""

    access: str
    secret: str = field(repr=False)


@dataclass
class Keystone:
    """The running server, and its admin."""

    process: subprocess.Popen[str]
    url: str
    directory: Path
    admin_password: str
    admin_token: str = ""
    role_ids: dict[str, str] = field(default_factory=dict[str, str])

    def start(self) -> None:
        """Start the server and wait until it serves."""
        self._tell("start", "started\n")

    def stop(self) -> None:
        """End the server; its address refuses connections from now on."""
        self._tell("stop", "stopped\n")

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        """Have no server until the block ends."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    def _tell(self, word: str, answer: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{word}\n")
        self.process.stdin.flush()
        said = self.read_line()
        assert said == answer, f"{said!r}\n{self.log()}"

    def read_line(self) -> str:
        """Return the next line that the process says, nothing if it takes too long."""
        assert self.process.stdout is not None
        too_late = Timer(START_SECONDS, self.process.kill)
        too_late.start()
        try:
            return self.process.stdout.readline()
        finally:
            too_late.cancel()

    def log(self) -> str:
        """Return what the process and Keystone wrote."""
        files = (self.directory / "process.log", self.directory / "keystone.log")
        return "\n".join(file.read_text() for file in files if file.exists())

    def call(self, method: str, path: str, body: Any = None, token: str | None = None, **headers: str) -> Answer:
        """Send a request, as the admin unless another token is given; any status is an answer."""
        sent = {"Content-Type": "application/json", "X-Auth-Token": token or self.admin_token} | headers
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/{path}", data, sent, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                text, status, subject = answer.read(), answer.status, answer.headers.get("X-Subject-Token", "")
        except urllib.error.HTTPError as refused:
            text, status, subject = refused.read(), refused.code, ""
        return Answer(status, json.loads(text) if text else None, subject)

    def make(self, kind: str, **members: Any) -> str:
        """Make something, such as a `project`, and return its id."""
        made = self.call("POST", f"{kind}s", {kind: members})
        assert made.status == 201, made
        return made.body[kind]["id"]

    def change(self, kind: str, id_: str, **members: Any) -> None:
        """Change members of something."""
        changed = self.call("PATCH", f"{kind}s/{id_}", {kind: members})
        assert changed.status == 200, changed

    def remove(self, kind: str, id_: str) -> None:
        """Remove something."""
        removed = self.call("DELETE", f"{kind}s/{id_}")
        assert removed.status == 204, removed

    def role(self, name: str) -> str:
        """Return the id of a role, which is made if there is none."""
        if name not in self.role_ids:
            found = self.call("GET", "roles").body["roles"]
            self.role_ids = {role["name"]: role["id"] for role in found}
        if name not in self.role_ids:
            self.role_ids[name] = self.make("role", name=name)
        return self.role_ids[name]

    def grant(self, user_id: str, project_id: str, role: str) -> None:
        """Give a user a role in a project."""
        given = self.call("PUT", f"projects/{project_id}/users/{user_id}/roles/{self.role(role)}")
        assert given.status == 204, given

    def withdraw(self, user_id: str, project_id: str, role: str) -> None:
        """Take a role in a project from a user."""
        taken = self.call("DELETE", f"projects/{project_id}/users/{user_id}/roles/{self.role(role)}")
        assert taken.status == 204, taken

    def account(self, word: str = "acme") -> Account:
        """Make a domain with a project, under a name of their own."""
        name = f"{word}-{secrets.token_hex(4)}"
        domain_id = self.make("domain", name=name)
        return Account(domain_id, self.make("project", name=name, domain_id=domain_id), name)

    def person(self, account: Account, *roles: str, name: str = "ann") -> Person:
        """Make a user of an account with these roles in its project."""
        user_name, password = f"{name}-{secrets.token_hex(4)}", secrets.token_hex(8)
        id_ = self.make("user", name=user_name, password=password, domain_id=account.domain_id)
        for role in roles:
            self.grant(id_, account.project_id, role)
        return Person(id_, user_name, password, account)

    def token(self, person: Person, scope: Any = "project") -> str:
        """Sign in; the scope is the account's project unless another one is given, `"unscoped"` for none."""
        wanted = {"project": {"id": person.account.project_id}} if scope == "project" else scope
        return self.sign_in(person.id, person.password, wanted)

    def sign_in(self, user_id: str, password: str, scope: Any) -> str:
        """Return a token."""
        user = {"id": user_id, "password": password}
        body = {"auth": {"identity": {"methods": ["password"], "password": {"user": user}}, "scope": scope}}
        answer = self.call("POST", "auth/tokens", body)
        assert answer.status == 201, answer
        return answer.subject_token

    def revoke(self, token: str) -> None:
        """Revoke a token."""
        assert self.call("DELETE", "auth/tokens", **{"X-Subject-Token": token}).status == 204

    def key_pair(self, person: Person) -> KeyPair:
        """Make an EC2 credential of a user in the account's project."""
        made = self.call("POST", f"users/{person.id}/credentials/OS-EC2", {"tenant_id": person.account.project_id})
        assert made.status == 201, made
        return KeyPair(made.body["credential"]["access"], made.body["credential"]["secret"])

    def remove_key_pair(self, person: Person, keys: KeyPair) -> None:
        """Remove an EC2 credential."""
        assert self.call("DELETE", f"users/{person.id}/credentials/OS-EC2/{keys.access}").status == 204

    @contextlib.contextmanager
    def registered(self, url: str, region: str = REGION) -> Iterator[None]:
        """Have a VPCEP endpoint in everybody's catalogue until the block ends; `url` is scheme, host and port."""
        service = self.make("service", type="vpcep", name="vpcep")
        try:
            self.make(
                "endpoint", service_id=service, interface="public", region_id=region, url=f"{url}/v1/$(project_id)s"
            )
            yield
        finally:
            # Its endpoints go with it.
            self.remove("service", service)


def _become_admin(keystone: Keystone) -> None:
    user = {"name": "admin", "domain": {"id": "default"}, "password": keystone.admin_password}
    identity = {"methods": ["password"], "password": {"user": user}}
    scope = {"project": {"name": "admin", "domain": {"id": "default"}}}
    answer = keystone.call("POST", "auth/tokens", {"auth": {"identity": identity, "scope": scope}}, token="none")
    assert answer.status == 201, f"{answer}\n{keystone.log()}"
    keystone.admin_token = answer.subject_token


def _add_service_user(keystone: Keystone) -> None:
    user_id = keystone.make("user", name=SERVICE_USER, password=SERVICE_PASSWORD, domain_id="default")
    given = keystone.call("PUT", f"system/users/{user_id}/roles/{keystone.role('reader')}")
    assert given.status == 204, given


@contextlib.contextmanager
def running_keystone(directory: Path) -> Iterator[Keystone]:
    """Run a Keystone from a directory of its own until the block ends."""
    directory.chmod(0o700)
    password = secrets.token_hex(8)
    (directory / "admin-password").write_text(password)
    with (directory / "process.log").open("wb") as log:
        # Warnings are Keystone's own; none of them is for us to mend. Without -P, this file would stand for Keystone.
        process = cast(
            "subprocess.Popen[str]",
            subprocess.Popen(
                [sys.executable, "-P", "-W", "ignore", str(SERVER), str(directory)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                # What its libraries keep stays with it.
                env=os.environ | {"XDG_CACHE_HOME": str(directory)},
            ),
        )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        keystone = Keystone(process, "", directory, password)
        port = keystone.read_line().strip()
        assert port, keystone.log()
        keystone.url = f"http://127.0.0.1:{port}/v3"
        keystone.start()
        _become_admin(keystone)
        _add_service_user(keystone)
        yield keystone
    finally:
        # Without its stdin it ends by itself, and takes its server with it.
        process.stdin.close()
        try:
            process.wait(10)
        finally:
            process.kill()
            process.wait(10)
            process.stdout.close()


@pytest.fixture(scope="session")
def keystone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keystone]:
    """One Keystone for all tests that need one."""
    with running_keystone(tmp_path_factory.mktemp("keystone")) as running:
        yield running
