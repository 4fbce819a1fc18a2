"""Say who is asking, from the users and projects in our own database.

Tokens are read without a look-up; passwords and signatures are checked against the records as they are at that
moment, nothing is cached, so a removed user's key stops working at once. A wrong answer never tells which part was
wrong, and takes as long for an unknown user or key as for a known one.
A caller in a project belongs to the project's domain: that account owns what the caller makes.
"""

import secrets
from datetime import timedelta

from landbridge.control.accounts import PasswordLogin, ProjectRecord, SignedRequest, TokenFacts, UserRecord
from landbridge.control.protocols import Clock, ReadTransaction, Store
from landbridge.domain.errors import Forbidden, Unauthenticated
from landbridge.domain.ids import IdSource, ProjectId
from landbridge.domain.resources import Caller
from landbridge.identity.passwords import PasswordHashes
from landbridge.identity.sealing import Secret, SecretSeal
from landbridge.identity.signature import ClaimedSignature, read_signature
from landbridge.identity.tokens import TokenContents, TokenSigner, token_facts

PROJECT_HEADER = "x-project-id"
_WRONG_LOGIN = "the user, the password or the scope is wrong"
_WRONG_SIGNATURE = "the access key or the signature is wrong"


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
    ) -> None:
        self._store = store
        self._signer = TokenSigner(signing_key)
        self._seal = SecretSeal(sealing_key)
        self._clock = clock
        self._ids = ids
        self._clock_skew = clock_skew
        self._hashes = PasswordHashes()
        # What an unknown access key is checked with: as much work, and nobody knows the secret.
        self._nobodys_sealed_secret = self._seal.seal("", Secret(secrets.token_hex(20)))

    async def issue(self, login: PasswordLogin) -> tuple[str, TokenFacts]:
        """Return a new token and what it says.

        Raises:
            Unauthenticated: user, password or scope are wrong; the message does not say which.
        """
        if not _is_storable_text(login):
            raise Unauthenticated(_WRONG_LOGIN)
        user, caller = await self._store.read(lambda tx: _find_login(tx, login))
        is_right = await self._hashes.matches(user.password_hash if user else None, Secret(login.password))
        if not is_right or caller is None:
            raise Unauthenticated(_WRONG_LOGIN)
        facts = token_facts(
            caller,
            has_project=caller.project_id != "",
            now=self._clock.now(),
            audit_id=self._ids.new(),
        )
        return self._signer.mint(TokenContents(facts, methods=("password",))), facts

    async def verify_token(self, token: str) -> TokenFacts:
        """Return what a token says.

        Raises:
            Unauthenticated: forged, malformed or expired.
        """
        return self._signer.read(token, self._clock.now()).facts

    async def verify_signature(self, request: SignedRequest, project_id: str | None) -> Caller:
        """Return who signed a request, acting in the project of the path.

        Without a project in the path, a signed X-Project-Id names it, else it is the signer's only one.

        Raises:
            Unauthenticated: unknown key or algorithm, wrong signature, or signed too long ago; or it is not clear
                which project is meant.
            Forbidden: the signer has no role in the project, or X-Project-Id names another one than the path.
        """
        claimed = read_signature(request, self._clock.now(), self._clock_skew)
        # One look for user and projects: both as they were at one moment.
        signer, projects = await self._store.read(lambda tx: _find_signer(tx, claimed.access_key))
        if not self._is_signed_by(signer, claimed) or signer is None:
            raise Unauthenticated(_WRONG_SIGNATURE)
        wanted_id = _wanted_project(request, claimed, project_id)
        if wanted_id is None:
            if len(projects) != 1:
                raise Unauthenticated(
                    f"the signer has roles in {len(projects)} projects: name one in a signed X-Project-Id header"
                )
            return _caller_in(signer, projects[0])
        for project in projects:
            if project.id == wanted_id:
                return _caller_in(signer, project)
        raise Forbidden(f"the signer has no role in project {wanted_id}")

    def _is_signed_by(self, signer: UserRecord | None, claimed: ClaimedSignature) -> bool:
        sealed_for, sealed_secret = "", self._nobodys_sealed_secret
        for key in signer.access_keys if signer else ():
            if key.access_key == claimed.access_key:
                sealed_for, sealed_secret = key.access_key, key.sealed_secret
        is_right = claimed.is_by(self._seal.unseal(sealed_for, sealed_secret))
        return is_right and sealed_for != ""


def _wanted_project(request: SignedRequest, claimed: ClaimedSignature, project_id: str | None) -> str | None:
    in_header = request.headers.get(PROJECT_HEADER, "").strip()
    if project_id is None:
        # An unsigned header could have been put there by anybody (golangsdk adds its own after signing).
        return in_header if in_header and PROJECT_HEADER in claimed.signed_headers else None
    if in_header and in_header != project_id:
        raise Forbidden("X-Project-Id names another project than the path")
    return project_id


def _find_signer(tx: ReadTransaction, access_key: str) -> tuple[UserRecord | None, list[ProjectRecord]]:
    user = tx.user_by_access_key(access_key)
    if user is None:
        return None, []
    projects = [tx.project(id_) for id_, roles in user.roles.items() if roles]
    return user, [project for project in projects if project is not None]


def _find_login(tx: ReadTransaction, login: PasswordLogin) -> tuple[UserRecord | None, Caller | None]:
    """Return the user, and as whom the user would act; None for each that there is not."""
    user = _find_user(tx, login)
    return user, _scoped_caller(tx, user, login) if user else None


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


def _scoped_caller(tx: ReadTransaction, user: UserRecord, login: PasswordLogin) -> Caller | None:
    if login.scope_project_id is None and login.scope_project_name is None:
        # Own domain, or no scope at all. Roles are held in projects only, so such a token has none.
        if login.scope_domain_id not in (None, user.domain_id):
            return None
        if login.scope_domain_name not in (None, user.domain_name):
            return None
        return Caller(
            user_id=user.id,
            user_name=user.name,
            domain_id=user.domain_id,
            domain_name=user.domain_name,
            project_id=ProjectId(""),
            project_name="",
        )
    project = _find_project(tx, user, login)
    if project is None or not user.roles.get(project.id):
        return None
    return _caller_in(user, project)


def _find_project(tx: ReadTransaction, user: UserRecord, login: PasswordLogin) -> ProjectRecord | None:
    domain_id, domain_name = login.scope_domain_id, login.scope_domain_name
    if login.scope_project_id is not None:
        candidates = [tx.project(ProjectId(login.scope_project_id))]
    else:
        # Only where the user has a role; the others' names are none of the user's business.
        candidates = [tx.project(id_) for id_ in user.roles]
        if domain_id is None and domain_name is None:
            domain_id = user.domain_id
    for project in candidates:
        if (
            project is not None
            and login.scope_project_name in (None, project.name)
            and domain_id in (None, project.domain_id)
            and domain_name in (None, project.domain_name)
        ):
            return project
    return None


def _caller_in(user: UserRecord, project: ProjectRecord) -> Caller:
    return Caller(
        user_id=user.id,
        user_name=user.name,
        domain_id=project.domain_id,
        domain_name=project.domain_name,
        project_id=project.id,
        project_name=project.name,
        roles=user.roles[project.id],
    )


def _is_storable_text(login: PasswordLogin) -> bool:
    # JSON can carry half characters ("\ud800") and NUL, which databases refuse; nobody has such a name.
    looked_up = "".join(filter(None, (login.user_id, login.user_name, login.scope_project_id)))
    return "\0" not in looked_up and not any("\ud800" <= character <= "\udfff" for character in looked_up)
