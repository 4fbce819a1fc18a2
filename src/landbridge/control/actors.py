"""Remember who acts, from the request or command that begins something to the transaction that writes it.

What is remembered belongs to one task (and to what that task starts), so the use cases need not hand it on. The store
asks for it once per transaction. Nothing is decided by it: who may do what has been decided before.
"""

from collections.abc import Callable, Collection, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from enum import StrEnum

from landbridge.domain.resources import Caller


class ActorKind(StrEnum):
    """What sort of somebody acts."""

    USER = "user"
    """Who sent a request."""
    OPERATOR = "operator"
    """Who runs a command on the server's machine, or wrote its lab file."""
    SYSTEM = "system"
    """Nobody: the server itself."""


def _tell_nobody(_request_id: str, _ids: Collection[str]) -> None:
    """Nobody wants to hear it."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts, and by which request or command. What is not known is empty."""

    kind: ActorKind = ActorKind.SYSTEM
    user_id: str = ""
    user_name: str = ""
    """Of an operator: the name of the machine's user."""
    domain_id: str = ""
    """The domain that owns the project."""
    project_id: str = ""
    """The project in which a user acts."""
    request_id: str = ""
    client_address: str = ""
    action: str = ""
    """The action of the policy, such as `vpcep:endpoints:create`; of an operator: the command."""
    on_change: Callable[[str, Collection[str]], None] = field(default=_tell_nobody, compare=False, repr=False)
    """Hears the request's id and the ids of what it changed, before the change is on disk, from any thread."""


SYSTEM = Actor()

_acting: ContextVar[Actor] = ContextVar("landbridge_actor", default=SYSTEM)


def current_actor() -> Actor:
    """Return who acts in this task."""
    return _acting.get()


@contextmanager
def acting_as(actor: Actor) -> Generator[None]:
    """Let somebody act until the block ends."""
    token = _acting.set(actor)
    try:
        yield
    finally:
        _acting.reset(token)


def caller_acts(caller: Caller, action: str) -> None:
    """Name the user behind the request that this task serves; what is known of the request stays."""
    user = replace(
        _acting.get(),
        kind=ActorKind.USER,
        user_id=caller.user_id,
        user_name=caller.user_name,
        domain_id=caller.domain_id,
        project_id=caller.project_id,
        action=action,
    )
    _acting.set(user)


def operator(command: str, user_name: str = "") -> Actor:
    """Return whoever runs a command, or wrote a file, on the server's machine."""
    return Actor(ActorKind.OPERATOR, user_name=user_name, action=command)
