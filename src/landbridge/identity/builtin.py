"""Say who is asking, from the users and projects in our own database.

Passwords and signatures are checked against the records as they are at that moment, so a removed user's key stops
working at once. Tokens are too, and what was found is used for some seconds: a removed user, a lost role or a changed
password ends a token within `recheck_after`, also when another process changed the records.
A wrong answer never tells which part was wrong, and takes as long for an unknown user or key as for a known one.
A caller in a project belongs to the project's domain: that account owns what the caller makes.
"""

import hmac
import secrets
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from landbridge.control.accounts import (
    DomainScope,
    PasswordLogin,
    ProjectRecord,
    ProjectScope,
    ScopeWish,
    SignedRequest,
    Signer,
    TokenFacts,
    TokenLogin,
    User,
    UserRecord,
)
from landbridge.control.protocols import Clock, ReadTransaction, Store
from landbridge.domain.errors import Unauthenticated
from landbridge.domain.ids import DomainId, IdSource, ProjectId
from landbridge.identity.known_tokens import KnownTokens
from landbridge.identity.passwords import PasswordHashes
from landbridge.identity.sealing import Secret, SecretSeal
from landbridge.identity.signed_requests import KeyHolder, SignedRequests
from landbridge.identity.tokens import SignedToken, TokenSigner, new_token_facts

_NO_SUCH_SCOPE = DomainScope(DomainId(""), "")
"""Stands for a scope that was asked for and that the user does not have."""
_WRONG_LOGIN = "the user, the password or the scope is wrong"
_WRONG_RESCOPING = "the token is not valid, or its user has no role in the scope: sign in with the password"
_ENDED = "the token is not valid any more: get a new one from POST /v3/auth/tokens"


class BuiltinIdentity:
    """Identity from the built-in records (`control.protocols.Identity`)."""

    def __init__(
        self,
        store: Store,
        signing_key: bytes,
        sealing_key: bytes,
        clock: Clock,
        ids: IdSource,
        clock_skew: timedelta = timedelta(minutes=15),
        recheck_after: timedelta = timedelta(seconds=5),
    ) -> None:
        self._store = store
        self._signer = TokenSigner(signing_key)
        self._seal = SecretSeal(sealing_key)
        self._clock = clock
        self._ids = ids
        self._signed_requests = SignedRequests(clock, clock_skew)
        self._hashes = PasswordHashes()
        self._known_tokens = KnownTokens(recheck_after)
        # What an unknown access key is checked with: as much work, and nobody knows the secret.
        self._nobodys_sealed_secret = self._seal.seal("", Secret(secrets.token_hex(20)))

    async def issue(self, login: PasswordLogin | TokenLogin) -> tuple[str, TokenFacts]:
        """Return a new token and what it says.

        Raises:
            Unauthenticated: user, password, token or scope are wrong; the message does not say which.
        """
        if isinstance(login, TokenLogin):
            return await self._issue_for_token(login)
        if not _is_storable_text(login.user_id, login.user_name, login.scope.project_id):
            raise Unauthenticated(_WRONG_LOGIN)
        record, scope = await self._store.read(lambda tx: _find_login(tx, login))
        is_right = await self._hashes.matches(record.password_hash if record else None, Secret(login.password))
        if not is_right or record is None or scope is _NO_SUCH_SCOPE:
            raise Unauthenticated(_WRONG_LOGIN)
        facts = new_token_facts(
            _user(record), scope, methods=("password",), now=self._clock.now(), audit_id=self._ids.new()
        )
        return self._signer.mint(facts, self._signer.password_mark(record.password_hash)), facts

    async def _issue_for_token(self, login: TokenLogin) -> tuple[str, TokenFacts]:
        old = self._signer.read(login.token, self._clock.now())
        if not _is_storable_text(login.scope.project_id):
            raise Unauthenticated(_WRONG_RESCOPING)

        def look(tx: ReadTransaction) -> tuple[User, ProjectScope | DomainScope | None] | None:
            record = tx.user(old.facts.user.id)
            if record is None or self._standing(tx, old) is None:
                return None
            scope = _find_scope(tx, record, login.scope)
            return None if scope is _NO_SUCH_SCOPE else (_user(record), scope)

        found = await self._store.read(look)
        if found is None:
            raise Unauthenticated(_WRONG_RESCOPING)
        user, scope = found
        facts = new_token_facts(
            user,
            scope,
            methods=tuple(dict.fromkeys((*old.facts.methods, "token"))),
            now=self._clock.now(),
            audit_id=self._ids.new(),
            no_later_than=old.facts.expires_at,
        )
        return self._signer.mint(facts, old.password_mark), facts

    async def projects_of(self, user: User) -> Sequence[ProjectRecord]:
        """Return the projects in which a user has a role, by name."""

        def look(tx: ReadTransaction) -> Sequence[ProjectRecord]:
            record = tx.user(user.id)
            return _projects(tx, record) if record else []

        return sorted(await self._store.read(look), key=lambda project: (project.name, project.id))

    async def verify_token(self, token: str) -> TokenFacts:
        """Return what a token says, with the roles that its user has in its project now.

        Raises:
            Unauthenticated: forged, malformed, expired, or its user, role or password is gone.
        """
        now = self._clock.now()
        known = self._known_tokens.get(token, now)
        if known is not None:
            return known
        signed = self._signer.read(token, now)
        facts = await self._store.read(lambda tx: self._standing(tx, signed))
        if facts is None:
            raise Unauthenticated(_ENDED)
        self._known_tokens.keep(token, facts, now)
        return facts

    async def verify_signature(self, request: SignedRequest) -> Signer:
        """Return who signed a request, and every project in which the signer has a role.

        Raises:
            Unauthenticated: unknown key or algorithm, wrong signature, signed too long ago, or a write sent again.
        """
        return await self._signed_requests.verify(request, self._find_key_holder)

    def _standing(self, tx: ReadTransaction, signed: SignedToken) -> TokenFacts | None:
        """Return what a token says by the records as they are now, None if it says nothing any more."""
        facts = signed.facts
        record = tx.user(facts.user.id)
        if record is None:
            return None
        if not hmac.compare_digest(self._signer.password_mark(record.password_hash), signed.password_mark):
            return None
        match facts.scope:
            case None:
                scope = None
            case DomainScope(domain_id):
                scope = _find_scope(tx, record, ScopeWish(domain_id=domain_id))
            case ProjectScope(project_id):
                scope = _find_scope(tx, record, ScopeWish(project_id=project_id))
        if scope is _NO_SUCH_SCOPE:
            return None
        return replace(facts, user=_user(record), scope=scope)

    async def _find_key_holder(self, access_key: str) -> KeyHolder | None:
        # One look for user and projects: both as they were at one moment.
        record, projects = await self._store.read(lambda tx: _find_signer(tx, access_key))
        sealed_for, sealed_secret = "", self._nobodys_sealed_secret
        for key in record.access_keys if record else ():
            if key.access_key == access_key:
                sealed_for, sealed_secret = key.access_key, key.sealed_secret
        secret_key = self._seal.unseal(sealed_for, sealed_secret)
        if record is None or sealed_for == "":
            return None
        return KeyHolder(secret_key, Signer(_user(record), tuple(_scope(record, project) for project in projects)))


def _find_signer(tx: ReadTransaction, access_key: str) -> tuple[UserRecord | None, Sequence[ProjectRecord]]:
    record = tx.user_by_access_key(access_key)
    return record, _projects(tx, record) if record else []


def _projects(tx: ReadTransaction, record: UserRecord) -> Sequence[ProjectRecord]:
    projects = [tx.project(id_) for id_, roles in record.roles.items() if roles]
    return [project for project in projects if project is not None]


def _find_login(
    tx: ReadTransaction, login: PasswordLogin
) -> tuple[UserRecord | None, ProjectScope | DomainScope | None]:
    """Return the user, and the scope that the user may have."""
    record = _find_user(tx, login)
    return record, _find_scope(tx, record, login.scope) if record else _NO_SUCH_SCOPE


def _find_user(tx: ReadTransaction, login: PasswordLogin) -> UserRecord | None:
    if login.user_id is not None:
        candidates = [tx.user(login.user_id)]
    elif login.user_name is not None and (login.user_domain_id or login.user_domain_name):
        candidates = list(tx.users_named(login.user_name))
    else:
        # A name alone could be anybody's: every domain may have a user of this name.
        candidates = []
    for user in candidates:
        if (
            user is not None
            and login.user_name in (None, user.name)
            and login.user_domain_id in (None, user.domain_id)
            and login.user_domain_name in (None, user.domain_name)
        ):
            return user
    return None


def _find_scope(tx: ReadTransaction, record: UserRecord, wish: ScopeWish) -> ProjectScope | DomainScope | None:
    if wish.project_id is not None or wish.project_name is not None:
        project = _find_project(tx, record, wish)
        return _scope(record, project) if project is not None and record.roles.get(project.id) else _NO_SUCH_SCOPE
    if wish.domain_id is None and wish.domain_name is None:
        return None
    own = DomainScope(record.domain_id, record.domain_name)
    is_own = wish.domain_id in (None, own.domain_id) and wish.domain_name in (None, own.domain_name)
    return own if is_own else _NO_SUCH_SCOPE


def _find_project(tx: ReadTransaction, record: UserRecord, wish: ScopeWish) -> ProjectRecord | None:
    domain_id, domain_name = wish.domain_id, wish.domain_name
    if wish.project_id is not None:
        candidates = [tx.project(ProjectId(wish.project_id))]
    else:
        # Only where the user has a role; the others' names are none of the user's business.
        candidates = [tx.project(id_) for id_ in record.roles]
        if domain_id is None and domain_name is None:
            domain_id = record.domain_id
    for project in candidates:
        if (
            project is not None
            and wish.project_name in (None, project.name)
            and domain_id in (None, project.domain_id)
            and domain_name in (None, project.domain_name)
        ):
            return project
    return None


def _user(record: UserRecord) -> User:
    return User(record.id, record.name, record.domain_id, record.domain_name)


def _scope(record: UserRecord, project: ProjectRecord) -> ProjectScope:
    return ProjectScope(project.id, project.name, project.domain_id, project.domain_name, record.roles[project.id])


def _is_storable_text(*texts: str | None) -> bool:
    # JSON can carry half characters ("\ud800") and NUL, which databases refuse; nobody has such a name.
    looked_up = "".join(filter(None, texts))
    return "\0" not in looked_up and not any("\ud800" <= character <= "\udfff" for character in looked_up)
