"""Ask a Keystone what it knows about a token or an access key (Identity API v3).

Blocking, for threads. Signs in as our own user, whose role reader on the system is enough for all of this, and again
when that token ends. Returns what Keystone said, None for what it does not know; everything else is `NoAnswer`, whose
text says to the operator what is wrong and never shows a secret. What the answers mean is read in `keystone_answers`.
"""

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote

from keystoneauth1 import exceptions
from keystoneauth1.identity import v3
from keystoneauth1.session import Session

from landbridge.identity.asking import NoAnswer
from landbridge.identity.keystone_answers import KeyDocuments
from landbridge.identity.sealing import Secret

_SIGN_IN_PAUSE_SECONDS: Final = 10.0
"""How long we do not sign in again after Keystone refused it: it may lock accounts that fail often."""

# Signing in also fails like this: the file of certificates is gone, or what answers is no Keystone.
_FAILURES: Final = (exceptions.ClientException, OSError, KeyError, ValueError)


@dataclass(frozen=True, slots=True)
class KeystoneAccess:
    """Where Keystone is, and who we are there."""

    url: str
    """With or without `/v3`."""
    user: str
    user_domain: str
    password: Secret = field(repr=False)
    project: str = ""
    """A project to be signed in to; empty: the system."""
    project_domain: str = "Default"
    ca_file: str = ""
    """Certificates to trust; empty: the machine's own."""
    timeout_seconds: float = 5.0


class KeystoneClient:
    """Asks one Keystone. For several threads."""

    def __init__(self, access: KeystoneAccess) -> None:
        base = access.url.rstrip("/")
        self._url = base if base.endswith("/v3") else f"{base}/v3"
        is_in_project = bool(access.project)
        self._sign_in = v3.Password(
            self._url,
            access.password.reveal(),
            username=access.user,
            user_domain_name=access.user_domain,
            system_scope=None if is_in_project else "all",
            project_name=access.project if is_in_project else None,
            project_domain_name=access.project_domain if is_in_project else None,
            include_catalog=False,
        )
        # No redirects: our token and the users' go to the address of the settings and nowhere else.
        self._session = Session(
            auth=self._sign_in,
            verify=access.ca_file or True,
            timeout=access.timeout_seconds,
            redirect=False,
            app_name="landbridge",
        )
        self._sign_in_refused_at: float | None = None

    def token(self, token: str) -> object | None:
        """Return what Keystone says about a token; None: it is not valid. The token is printable ASCII.

        Raises:
            NoAnswer: it did not say.
        """
        return self._get("auth/tokens?nocatalog", {"X-Subject-Token": token})

    def access_key(self, access_key: str) -> KeyDocuments | None:
        """Return what Keystone knows about the access key of an EC2 credential; None: there is none.

        Raises:
            NoAnswer: it did not say.
        """
        # That is the id which Keystone itself gives to an EC2 credential.
        credential = self._get(f"credentials/{hashlib.sha256(access_key.encode()).hexdigest()}")
        match credential:
            case {"credential": {"user_id": str(user_id), "project_id": str(project_id)}}:
                pass
            case None | {"credential": dict()}:
                return None
            case _:
                raise NoAnswer("Keystone's answer about a credential does not describe one")
        user = self._get(f"users/{_segment(user_id)}")
        project = self._get(f"projects/{_segment(project_id)}")
        assignments = self._get(
            f"role_assignments?user.id={_segment(user_id)}&scope.project.id={_segment(project_id)}"
            "&effective&include_names"
        )
        domains = {id_: self._get(f"domains/{_segment(id_)}") for id_ in _domain_ids(user, project)}
        return KeyDocuments(credential, user, project, assignments, domains)

    def _get(self, path: str, headers: Mapping[str, str] | None = None) -> object | None:
        if (
            self._sign_in_refused_at is not None
            and time.monotonic() < self._sign_in_refused_at + _SIGN_IN_PAUSE_SECONDS
        ):
            raise NoAnswer("Keystone refuses our user: check keystone_user, its domain, project, password and roles")
        try:
            return self._ask(path, headers or {})
        except exceptions.ConnectFailure:
            # Keystone may have closed a connection that we kept; a new one tells.
            pass
        except _FAILURES as error:
            raise NoAnswer(f"Keystone cannot be asked: {error}") from error
        try:
            return self._ask(path, headers or {})
        except _FAILURES as error:
            raise NoAnswer(f"Keystone cannot be asked: {error}") from error

    def _ask(self, path: str, headers: Mapping[str, str]) -> object | None:
        try:
            # Not logged: bodies and headers are full of secrets.
            answer = self._session.get(f"{self._url}/{path}", headers=dict(headers), raise_exc=False, log=False)
        except (exceptions.Unauthorized, exceptions.Forbidden) as error:
            # Only signing in raises these: the answer itself is looked at below.
            self._sign_in_refused_at = time.monotonic()
            raise NoAnswer(
                f"Keystone refuses our user ({error.http_status}): check keystone_user, its domain, project, "
                "password and roles"
            ) from error
        self._sign_in_refused_at = None
        try:
            body: object = answer.json()
        except ValueError:
            body = None
        match answer.status_code, body:
            case 200, {}:
                return body
            case 404, {"error": {"code": 404}}:
                return None
            case 404, _:
                raise NoAnswer(f"there is no Keystone at {self._url}: check keystone_url")
            case ((401 | 403), _):
                raise NoAnswer(
                    f"Keystone does not let our user look ({answer.status_code}): give it the role reader on the system"
                )
            case _:
                raise NoAnswer(f"Keystone answered {answer.status_code} without a body that can be used")


def _segment(id_: str) -> str:
    return quote(id_, safe="")


def _domain_ids(user: object, project: object) -> list[str]:
    """Return the domains that a user and a project belong to. A user or a project that is gone belongs to none."""
    found: set[str] = set()
    match user:
        case {"user": {"domain_id": str(id_)}}:
            found.add(id_)
        case _:
            pass
    match project:
        case {"project": {"domain_id": str(id_)}}:
            found.add(id_)
        case _:
            pass
    return sorted(found)
