"""The Keystone adapter on a Keystone of the tests."""

import warnings
from datetime import timedelta
from typing import Any

from landbridge.control.protocols import Clock
from landbridge.identity.asking import Bounds
from landbridge.identity.sealing import Secret
from landbridge.settings import KEYSTONE_ROLES
from tests.keystone import SERVICE_PASSWORD, SERVICE_USER

with warnings.catch_warnings():
    # Where Keystone itself is installed, as for tests only, keystoneauth uses more, and that still imports cgi.
    warnings.filterwarnings("ignore", "'cgi' is deprecated", DeprecationWarning)
    from landbridge.identity.keystone import KeystoneIdentity
    from landbridge.identity.keystone_client import KeystoneAccess

BOUNDS = Bounds(fresh_for=timedelta(seconds=30), patience=timedelta(seconds=20))


class Heard:
    """What the operator hears."""

    def __init__(self) -> None:
        self.answers = 0
        self.failures: list[str] = []

    def identity_answered(self) -> None:
        self.answers += 1

    def identity_failed(self, reason: str) -> None:
        self.failures.append(reason)


def keystone_identity(
    url: str, clock: Clock, heard: Heard | None = None, bounds: Bounds = BOUNDS, **changes: Any
) -> KeystoneIdentity:
    """Return the adapter as the service user; `changes` are members of `KeystoneAccess`. The caller closes it."""
    access = {
        "url": url,
        "user": SERVICE_USER,
        "user_domain": "Default",
        "password": Secret(SERVICE_PASSWORD),
        "timeout_seconds": bounds.patience.total_seconds(),
    }
    return KeystoneIdentity(KeystoneAccess(**(access | changes)), KEYSTONE_ROLES, bounds, clock, heard or Heard())
