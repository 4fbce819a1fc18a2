"""Choose who says who is asking: the users in our own database, or a Keystone."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from landbridge.control.protocols import Clock, Identity, Store, TokenIssuer
from landbridge.domain.errors import OperatorError
from landbridge.domain.ids import IdSource
from landbridge.identity.builtin import BuiltinIdentity
from landbridge.identity.sealing import Secret
from landbridge.identity.state_keys import StateKeys
from landbridge.observability import Telemetry
from landbridge.settings import Settings


@dataclass(frozen=True, slots=True)
class ChosenIdentity:
    """Who says who is asking, and who gives tokens out: nobody here, with a Keystone."""

    identity: Identity
    issuer: TokenIssuer | None
    close: Callable[[], None]
    """To be called at the end."""


def choose_identity(
    settings: Settings, store: Store, keys: StateKeys, clock: Clock, ids: IdSource, telemetry: Telemetry
) -> ChosenIdentity:
    """Return the identity that the settings name.

    Raises:
        OperatorError: a file that it needs cannot be read.
    """
    clock_skew = timedelta(seconds=settings.clock_skew_seconds)
    if settings.identity == "builtin":
        builtin = BuiltinIdentity(store, keys.signing_key, keys.sealing_key, clock, ids, clock_skew)
        return ChosenIdentity(builtin, builtin, _do_nothing)
    password = _read("keystone_password_file", settings.keystone_password_file).strip()
    if settings.keystone_ca_file:
        _read("keystone_ca_file", settings.keystone_ca_file)
    # Half a second that the built-in identity need not wait.
    from landbridge.identity.asking import Bounds  # noqa: PLC0415
    from landbridge.identity.keystone import KeystoneIdentity  # noqa: PLC0415
    from landbridge.identity.keystone_client import KeystoneAccess  # noqa: PLC0415

    access = KeystoneAccess(
        url=settings.keystone_url,
        user=settings.keystone_user,
        user_domain=settings.keystone_user_domain,
        password=Secret(password),
        project=settings.keystone_project,
        project_domain=settings.keystone_project_domain,
        ca_file=settings.keystone_ca_file,
        timeout_seconds=settings.keystone_timeout_seconds,
    )
    bounds = Bounds(
        fresh_for=timedelta(seconds=settings.keystone_cache_seconds),
        patience=timedelta(seconds=settings.keystone_timeout_seconds),
    )
    keystone = KeystoneIdentity(access, settings.keystone_roles, bounds, clock, telemetry, clock_skew)
    return ChosenIdentity(keystone, None, keystone.close)


def _read(setting: str, path: str) -> str:
    try:
        return Path(path).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise OperatorError(f"cannot read the {setting} {path}: {error}") from error


def _do_nothing() -> None:
    """Nothing is open."""
