"""Give the process what it needs to make network namespaces, with or without root.

Root keeps everything as it is. Anybody else gets a user and a mount namespace of their own, kept alive by a
*holder* process that does nothing, so that killing the server ends no network. The host's network namespace
is kept: the API's socket stays where people look for it. Standard library only.
"""

import fcntl
import json
import os
import signal
import threading
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from landbridge.drivers.linux.namespaces import (
    CLONE_NEWNS,
    CLONE_NEWUSER,
    MS_REC,
    MS_SLAVE,
    Namespaces,
    mount,
    setns,
    unshare,
)

_CAP_SYS_ADMIN = 21
_RELEASE_SECONDS = 2.0
_SYSTEM_DIRECTORY = Path("/run/netns")


class NoHolder(Exception):
    """Nobody keeps the namespaces of this state directory: nothing of it is running."""


class UserNamespacesRefused(Exception):
    """This system lets only root make namespaces."""


def is_privileged() -> bool:
    """Say whether this process may make network namespaces as it is."""
    if os.geteuid() != 0:
        return False
    if Path("/proc/self/uid_map").read_text().split() != ["0", "0", "4294967295"]:
        return False  # uid 0 of some other user namespace
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) >> _CAP_SYS_ADMIN & 1)
    return False


def enter(state: Path) -> Namespaces:
    """Enter the namespaces that belong to a state directory, made when there are none yet.

    Only at the start of a process, while it has one thread: the kernel lets no other change its user namespace.
    Raises UserNamespacesRefused.
    """
    if is_privileged():
        return Namespaces(_SYSTEM_DIRECTORY)
    state = state.resolve()
    state.mkdir(parents=True, exist_ok=True)
    with _locked(state):
        holder = _live_holder(state)
        if holder is None:
            _make(state)
        else:
            _join(holder)
    return Namespaces(_directory(state))


def join(state: Path) -> Namespaces:
    """Enter existing namespaces only; like `enter`, at the start of a process. Raises NoHolder."""
    if is_privileged():
        return Namespaces(_SYSTEM_DIRECTORY)
    state = state.resolve()
    holder = _live_holder(state)
    if holder is None:
        raise NoHolder(f"nothing of {state} is running: no process holds its network namespaces")
    _join(holder)
    return Namespaces(_directory(state))


def release(state: Path) -> None:
    """End the holder of a state directory, if there is one; what it held goes when its last user goes."""
    state = state.resolve()
    holder = _live_holder(state)
    if holder is not None:
        # A descriptor names this very process, even if its id were given to another one meanwhile.
        try:
            descriptor = os.pidfd_open(holder)
        except ProcessLookupError:
            descriptor = -1
        if descriptor >= 0:
            if _live_holder(state) == holder:
                signal.pidfd_send_signal(descriptor, signal.SIGTERM)
            os.close(descriptor)
        deadline = time.monotonic() + _RELEASE_SECONDS
        while _live_holder(state) is not None and time.monotonic() < deadline:
            time.sleep(0.005)
    _record(state).unlink(missing_ok=True)


def enter_and_exec(namespaces: Namespaces, name: str, argv: Sequence[str]) -> NoReturn:
    """Become the program `argv` inside a network namespace.

    Raises NoSuchNamespace, and FileNotFoundError when there is no such program.
    """
    namespaces.enter(name)
    os.execvp(argv[0], list(argv))  # noqa: S606 - running the user's command is what it is for


def _directory(state: Path) -> Path:
    return state / "netns"


def _record(state: Path) -> Path:
    return state / "holder.json"


@contextmanager
def _locked(state: Path) -> Generator[None]:
    descriptor = os.open(state / "holder.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _started(process: int) -> int | None:
    """Return when a process started, in clock ticks since boot; None when it has ended."""
    try:
        text = Path(f"/proc/{process}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name in parentheses may hold anything, blanks and parentheses included.
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in {"Z", "X"} else int(fields[19])


def _live_holder(state: Path) -> int | None:
    try:
        record = json.loads(_record(state).read_text())
        process, started = int(record["pid"]), int(record["started"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    return process if _started(process) == started else None


def _join(holder: int) -> None:
    _assert_single_thread()
    here = Path.cwd()
    user = os.open(f"/proc/{holder}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    mounts = os.open(f"/proc/{holder}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    try:
        setns(user, CLONE_NEWUSER)
        setns(mounts, CLONE_NEWNS)
    finally:
        os.close(user)
        os.close(mounts)
    os.chdir(here)  # entering a mount namespace goes to its root


def _make(state: Path) -> None:
    _assert_single_thread()
    user, group = os.geteuid(), os.getegid()
    try:
        unshare(CLONE_NEWUSER | CLONE_NEWNS)
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {user} 1")
        Path("/proc/self/gid_map").write_text(f"0 {group} 1")
        # What the host mounts later is seen here; what is mounted here is seen nowhere else.
        mount("none", Path("/"), "none", MS_REC | MS_SLAVE)
        directory = _directory(state)
        directory.mkdir(mode=0o755, exist_ok=True)
        mount("landbridge", directory, "tmpfs", 0)
    except OSError as failure:
        raise UserNamespacesRefused(
            f"cannot make a user namespace ({failure.strerror}): run as root, or allow it, see the sysctls "
            "user.max_user_namespaces, kernel.unprivileged_userns_clone and "
            "kernel.apparmor_restrict_unprivileged_userns"
        ) from failure
    holder = _start_holder()
    started = _started(holder)
    fresh = state / "holder.json.new"
    fresh.write_text(json.dumps({"pid": holder, "started": started}))
    fresh.replace(_record(state))


def _start_holder() -> int:
    """Start the process that keeps the namespaces, and return its id once it is ready."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        # Forked twice: the holder is nobody's child, so nobody has to wait for it.
        try:
            os.setsid()
            if os.fork() == 0:
                _hold(writer)
        finally:
            os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    with os.fdopen(reader) as pipe:
        return int(pipe.read())


def _hold(ready: int) -> NoReturn:
    os.chdir("/")
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    os.write(ready, str(os.getpid()).encode())
    # Nothing may wait for us to close its pipe or its lock.
    os.closerange(0, os.sysconf("SC_OPEN_MAX"))
    # A small program under a name of its own: in `ps` a copy of the server would look like the server.
    os.execvp("sleep", ["landbridge-hold", "infinity"])  # noqa: S606 - no shell, and coreutils are everywhere


def _assert_single_thread() -> None:
    threads = len(list(Path("/proc/self/task").iterdir()))
    assert threads == 1 == threading.active_count(), "enter the user namespace before any thread starts"  # noqa: S101 - a mistake of ours, not of the user's
