"""Everybody who may come to a project: with every kind of token and signature, right and wrong."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt

from landbridge.api.policy import ADMIN
from landbridge.control.accounts import DomainScope, ProjectRecord, ProjectScope, User, UserRecord
from landbridge.domain.ids import ProjectId
from landbridge.identity.tokens import TokenSigner, new_token_facts
from tests.integration.conftest import Tenant, World
from tests.integration.test_authentication import signed

SIGNING_KEY = b"s" * 32
"""What the server of these tests signs tokens with."""
SISTER = ProjectId("5157e4" + 26 * "0")
"""A second project of acme's own domain."""
NOBODY, STRANGER = "nobody", "stranger"


@dataclass(frozen=True)
class Asking:
    """A caller as the rule sees them, with what they send."""

    kind: str
    """A role in the project of the path, or `STRANGER`: known, without any; or `NOBODY`: not known."""
    token: str | None = None
    key: tuple[str, str] | None = None
    """Access key and secret key."""
    age: timedelta = timedelta()
    """How long ago the request was signed."""
    signed_path: str | None = None
    """What was signed instead of the path."""
    headers: tuple[tuple[str, str], ...] = ()

    def headers_for(self, method: str, path: str, project_id: str, body: str) -> dict[str, str]:
        headers = {} if self.token is None else {"X-Auth-Token": self.token}
        if self.key is not None:
            at = datetime.now(UTC) - self.age
            headers |= signed(method, self.signed_path or path, *self.key, project_id, body, at=at)
        return headers | dict(self.headers)


class Cast:
    """The people of the matrix: they come to acme's project by every way that there is."""

    def __init__(self, world: World, acme: Tenant, globex: Tenant, admin: UserRecord) -> None:
        self._world, self._acme, self._globex, self._admin = world, acme, globex, admin
        self._signer = TokenSigner(SIGNING_KEY)

    async def with_role(self, role: str) -> Asking:
        """Return a user who has this one role in the project."""
        user = replace(
            self._admin,
            id=role * 4,
            name=f"acme-{role}-of-the-matrix",
            roles={self._acme.project_id: frozenset({role})},
            access_keys=(),
        )
        await self._world.store.write(lambda tx: tx.put_user(user))
        tenant = await self._world.login(user.name, "acme-password", "acme")
        return Asking(role, tenant.token)

    async def sister_project(self) -> Asking:
        """Return somebody of the same domain, who is in another project of it only."""
        project = ProjectRecord(SISTER, "sister", self._admin.domain_id, self._admin.domain_name)
        user = replace(self._admin, id="sister", name="acme-sister", roles={SISTER: frozenset({ADMIN})}, access_keys=())
        await self._world.store.write(lambda tx: (tx.put_project(project), tx.put_user(user)))
        scope = ProjectScope(SISTER, "sister", project.domain_id, project.domain_name, frozenset({ADMIN}))
        return Asking(STRANGER, self._mint(user, scope))

    def token_of_another_domain(self) -> Asking:
        return Asking(STRANGER, self._globex.token)

    def unscoped_token(self) -> Asking:
        return Asking(STRANGER, self._mint(self._admin, None))

    def domain_token(self) -> Asking:
        return Asking(STRANGER, self._mint(self._admin, DomainScope(self._admin.domain_id, self._admin.domain_name)))

    def minted_token(self) -> Asking:
        """Return a token made here: that it is served shows that the forged ones fail for the right reason."""
        return Asking(ADMIN, self._mint(self._admin, self._scope()))

    def expired_token(self) -> Asking:
        return Asking(NOBODY, self._mint(self._admin, self._scope(), age=timedelta(hours=25)))

    def token_before_the_password_changed(self) -> Asking:
        before = replace(self._admin, password_hash="$argon2id$another")
        return Asking(NOBODY, self._mint(before, self._scope()))

    def token_signed_by_another_key(self) -> Asking:
        return Asking(NOBODY, jwt.encode(self._claims(), b"another key of thirty-two bytes!!", "HS256"))

    def token_signed_by_nobody(self) -> Asking:
        return Asking(NOBODY, jwt.encode(self._claims(), None, "none"))

    def token_with_changed_claims(self) -> Asking:
        header, _, signature = self._acme.token.split(".")
        _, payload, _ = jwt.encode(self._claims() | {"sub": "operator"}, SIGNING_KEY, "HS256").split(".")
        return Asking(NOBODY, f"{header}.{payload}.{signature}")

    async def token_of_somebody_who_is_gone(self) -> Asking:
        user = replace(self._admin, id="gone" * 4, name="acme-gone", access_keys=())
        await self._world.store.write(lambda tx: tx.put_user(user))
        token = self._mint(user, self._scope())
        await self._world.store.write(lambda tx: tx.remove_user(user.id))
        return Asking(NOBODY, token)

    def token_in_another_place(self) -> Asking:
        return Asking(NOBODY, headers=(("Cookie", f"X-Auth-Token={self._acme.token}"), ("X-Subject-Token", "x")))

    async def with_a_wrong_signature(self) -> Asking:
        admin = await self.with_role(ADMIN)
        return Asking(NOBODY, admin.token, key=("ACMEKEY", "globex-secret-key"))

    def _mint(self, user: UserRecord, scope: Any, age: timedelta = timedelta()) -> str:
        facts = new_token_facts(
            _user(user), scope, methods=("password",), now=datetime.now(UTC) - age, audit_id="a" * 22
        )
        return self._signer.mint(facts, self._signer.password_mark(user.password_hash))

    def _claims(self) -> dict[str, Any]:
        return jwt.decode(self._acme.token, options={"verify_signature": False})

    def _scope(self) -> ProjectScope:
        admin, roles = self._admin, frozenset({ADMIN})
        return ProjectScope(ProjectId(self._acme.project_id), "acme", admin.domain_id, admin.domain_name, roles)


def _user(record: UserRecord) -> User:
    return User(record.id, record.name, record.domain_id, record.domain_name)
