"""Let the operator consent to held removals beside a running agent, by a socket in its state directory.

Whoever may use the socket may write the directory, and so could replace the database as well: no other proof is asked.
The consent covers what is held at that moment, and nothing that is found later.
"""

import asyncio
import contextlib
import json
import os
import re
import socket
from collections.abc import AsyncGenerator, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from landbridge.control.reconciler import Reconciler
from landbridge.domain.errors import OperatorError
from landbridge.state import StateDirectory

_SOCKET = re.compile(r"operator-([0-9]+)\.sock")
_REQUEST = b"confirm-removals"
_SWEEP_SECONDS = 60.0
_ASK_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Consent:
    """What came of it."""

    confirmed: int
    """How many removals were held, and consented to."""
    held: int
    """How many are held still, or anew."""


@contextlib.asynccontextmanager
async def taking_consent(state: Path, pool_name: str, reconciler: Reconciler) -> AsyncGenerator[None]:
    """Listen for the operator's consent while the block runs.

    Raises:
        OperatorError: there can be no socket in the state directory.
    """

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, TimeoutError, ValueError), contextlib.closing(writer):
            async with asyncio.timeout(_ASK_SECONDS):
                asked = (await reader.readline()).split()
            if asked == [_REQUEST, pool_name.encode()]:
                writer.write(json.dumps(await _carried_out(reconciler)).encode() + b"\n")
            elif asked[:1] == [_REQUEST]:
                writer.write(json.dumps({"pool": pool_name}).encode() + b"\n")
            await writer.drain()

    _forget_dead(state)
    path = state / f"operator-{os.getpid()}.sock"
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        path.unlink(missing_ok=True)
        with _short(path) as address:
            listener.bind(address)
        path.chmod(0o600)
    except OSError as error:
        listener.close()
        raise OperatorError(f"cannot listen on {path}: {error.strerror}; see who owns the directory") from error
    server = await asyncio.start_unix_server(answer, sock=listener, limit=1024)
    try:
        yield
    finally:
        # Without waiting for who still asks: a sweep that does not come about must not hold up the end.
        server.close()
        path.unlink(missing_ok=True)


async def _carried_out(reconciler: Reconciler) -> dict[str, int]:
    """Consent, wait for the sweep that follows, and say what came of it."""
    confirmed = reconciler.held_removals
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_SWEEP_SECONDS):
            confirmed = await reconciler.confirm_removals()
    return {"confirmed": confirmed, "held": reconciler.held_removals}


def confirm_beside(state: StateDirectory, pool_name: str, *, shares_database: bool) -> Consent | None:
    """Tell the agent that runs from a state directory that its held removals are right; None: none runs.

    `shares_database`: several agents may run from one directory, so that nobody has its lock.

    Raises:
        OperatorError: one runs and cannot be told, or its sweep has not come about.
    """
    if not state.path.is_dir():
        return None
    others: set[str] = set()
    for path in sorted(state.path.glob("operator-*.sock")):
        answered = _ask(path, pool_name)
        if answered is None:
            continue
        if "confirmed" in answered:
            return Consent(int(str(answered["confirmed"])), int(str(answered["held"])))
        others.add(str(answered.get("pool", "")))
    pid = None if shares_database else state.server_pid()
    if pid is None:
        return None
    if others:
        raise OperatorError(f"the server with process id {pid} owns pool {', '.join(others)}, not {pool_name}")
    raise OperatorError(
        f"the server with process id {pid} cannot be told: it has not come far enough, or is of another version. "
        "Try again, or end it and start it with --confirm-removals"
    )


def _ask(path: Path, pool_name: str) -> dict[str, object] | None:
    """Return what the agent at a socket answers; None: nobody does."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(_SWEEP_SECONDS + _ASK_SECONDS)
        try:
            with _short(path) as address:
                connection.connect(address)
            connection.sendall(_REQUEST + b" " + pool_name.encode() + b"\n")
            text = connection.makefile("rb").readline()
        except PermissionError as error:
            raise OperatorError(f"cannot use {path}: run this as the server's user") from error
        except OSError:
            return None
    try:
        found: object = json.loads(text)
    except ValueError:
        return None
    return cast("dict[str, object]", found) if isinstance(found, dict) else None


@contextlib.contextmanager
def _short(path: Path) -> Generator[str]:
    """Give an address of a socket in the 108 bytes that there are."""
    handle = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{handle}/{path.name}"
    finally:
        os.close(handle)


def _forget_dead(state: Path) -> None:
    """Remove the sockets of those who were killed."""
    for path in state.glob("operator-*.sock"):
        found = _SOCKET.fullmatch(path.name)
        if found is not None and not Path(f"/proc/{found[1]}").exists():
            path.unlink(missing_ok=True)
