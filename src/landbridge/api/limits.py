"""Bound what one project may ask in a second, and how often somebody may guess.

Requests count for the project that the caller proved to act for, so a stranger cannot use up a tenant's share. Failed
sign-ins count for who tries: passwords by client address, signatures by client address and access key. Once there
are too many, the next is refused before it is looked at, right or wrong; otherwise guessing would go on. A successful
sign-in never counts. Wrong tokens do not either: one that has expired is everyday, and one that is guessed is not.
What happens to how many keys at a time is the limiters'.
"""

import asyncio
import contextlib
import ipaddress
import math
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Protocol

from landbridge.control.accounts import ProjectScope, Signer, TokenFacts
from landbridge.domain.errors import TooManyRequests, Unauthenticated

_IPV6_SITE_BITS = 64
_ACCESS_KEY_CHARACTERS = 128


class Limiter(Protocol):
    """Counts events by key."""

    def take(self, key: str) -> float:
        """Count one event; return 0.0, or in how many seconds it could be: then it was not counted."""
        ...

    def left(self, key: str) -> int:
        """Return how many events could be at once now, without counting one."""
        ...

    def wait_seconds(self, key: str) -> float:
        """Return in how many seconds the next event could be, 0.0 if now, without counting one."""
        ...


class RefusalObserver(Protocol):
    """Who hears that a limit was reached."""

    def request_refused(self, limit: str) -> None:
        """A request was over a limit: `project` or `sign-in`."""
        ...


@dataclass(slots=True)
class _Attempts:
    """Sign-ins of one subject that are here at this moment."""

    here: int = 0
    being_checked: int = 0
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)


class RequestLimits:
    """Refuses what is too much. A limiter that is None does not limit."""

    def __init__(self, requests: Limiter | None, failed_signins: Limiter | None, observer: RefusalObserver) -> None:
        self._requests = requests
        self._failed_signins = failed_signins
        self._observer = observer
        self._attempts: dict[str, _Attempts] = {}

    def count_request(self, payer: str) -> None:
        """Count a request of somebody who is known; `payer` is what `payer_of_token` or `payer_of_signature` says.

        Raises:
            TooManyRequests: the share is used up.
        """
        if self._requests is None:
            return
        wait_seconds = self._requests.take(payer)
        if wait_seconds > 0:
            self._refuse("project", "the project sends too many requests", wait_seconds)

    @contextlib.asynccontextmanager
    async def signing_in(self, subject: str) -> AsyncGenerator[None]:
        """Guard the check of a password or a signature; that it raises `Unauthenticated` is what counts.

        At most as many checks of one subject run at once as may still fail, so simultaneous guesses are counted too.

        Raises:
            TooManyRequests: too many failed already.
        """
        limiter = self._failed_signins
        if limiter is None:
            yield
            return
        attempts = self._attempts.setdefault(subject, _Attempts())
        attempts.here += 1
        try:
            async with attempts.changed:
                await attempts.changed.wait_for(
                    lambda: limiter.wait_seconds(subject) > 0 or attempts.being_checked < limiter.left(subject)
                )
                wait_seconds = limiter.wait_seconds(subject)
                if wait_seconds > 0:
                    self._refuse("sign-in", "too many sign-ins from here have failed", wait_seconds)
                attempts.being_checked += 1
            try:
                yield
            except Unauthenticated:
                limiter.take(subject)
                raise
            finally:
                attempts.being_checked -= 1
                async with attempts.changed:
                    attempts.changed.notify_all()
        finally:
            attempts.here -= 1
            if attempts.here == 0:
                del self._attempts[subject]

    def _refuse(self, limit: str, what: str, wait_seconds: float) -> None:
        self._observer.request_refused(limit)
        whole_seconds = max(1, math.ceil(wait_seconds))
        raise TooManyRequests(f"{what}: try again in {whole_seconds} s", whole_seconds)


def payer_of_token(facts: TokenFacts) -> str:
    """Return for whom the requests of a token count: its project, or its user if it has none."""
    return facts.scope.project_id if isinstance(facts.scope, ProjectScope) else f"user {facts.user.id}"


def payer_of_signature(signer: Signer, project_id: str) -> str:
    """Return for whom a signed request counts: the project of the path if it is one of the signer's."""
    is_own = any(scope.project_id == project_id for scope in signer.projects)
    return project_id if is_own else f"user {signer.user.id}"


def address_subject(client_host: str | None) -> str:
    """Return for what client a failed password counts.

    An IPv6 site has more addresses than anybody can remember, so its /64 counts as one.
    """
    try:
        address = ipaddress.ip_address(client_host or "")
    except ValueError:
        return "unknown"
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((int(address), _IPV6_SITE_BITS), strict=False))
    return str(address)


def signature_subject(client_host: str | None, authorization: str) -> str:
    """Return for what client and access key a wrong signature counts.

    Only what stands between the first `=` and the next `/` or `,`: the rest is the client's free choice, and must not
    make a new subject.
    """
    claimed = authorization.partition("=")[2].replace("/", ",").partition(",")[0]
    return f"{address_subject(client_host)} {claimed[:_ACCESS_KEY_CHARACTERS]}"
