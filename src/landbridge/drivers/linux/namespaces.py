"""Keep named network namespaces as bind mounts in one directory, the way `ip netns` does.

A thread that enters a namespace is thrown away afterwards: without root there is no way back, because the
host's own namespace is not ours. Sockets opened inside stay there, so the rest of the program never has to
enter. Standard library only, so that `landbridge lab exec` starts fast.
"""

import ctypes
import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

CLONE_NEWNS = 0x00020000
CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000
MS_BIND = 1 << 12
MS_REC = 1 << 14
MS_SLAVE = 1 << 19
MS_SHARED = 1 << 20
_MNT_DETACH = 2

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mount.argtypes = (
    ctypes.c_char_p,
    ctypes.c_char_p,
    ctypes.c_char_p,
    ctypes.c_ulong,
    ctypes.c_char_p,
)

T = TypeVar("T")


class NoSuchNamespace(Exception):
    """There is no network namespace of that name."""


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def unshare(flags: int) -> None:
    """Give the calling thread namespaces of its own; see unshare(2)."""
    _check(_libc.unshare(flags), "unshare")


def setns(descriptor: int, kind: int) -> None:
    """Move the calling thread into the namespace behind `descriptor`; see setns(2)."""
    _check(_libc.setns(descriptor, kind), "setns")


def mount(source: str, target: Path, kind: str, flags: int) -> None:
    """Mount as mount(2) does."""
    result = _libc.mount(source.encode(), os.fsencode(target), kind.encode(), flags, None)
    _check(result, f"mount {target}")


class Namespaces:
    """The named network namespaces in `directory`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def path(self, name: str) -> Path:
        """Return the file that stands for a namespace."""
        return self.directory / name

    def exists(self, name: str) -> bool:
        """Say whether there is a namespace of that name; an unmounted left-over file is none."""
        return self.identity(name) is not None

    def identity(self, name: str) -> int | None:
        """Return what tells a namespace from a later one of the same name, None without one."""
        try:
            found = os.stat(f"{self.directory}/{name}")  # noqa: PTH116 - asked for each edge of each plan
        except FileNotFoundError:
            return None
        return found.st_ino if found.st_dev == _namespace_device() else None

    def names(self) -> list[str]:
        """Return the names of all namespaces here, ours or not, sorted."""
        try:
            entries = [entry.name for entry in self.directory.iterdir()]
        except FileNotFoundError:
            return []
        return sorted(name for name in entries if self.exists(name))

    def create(self, name: str, prepare: Callable[[], None] | None = None) -> None:
        """Make a namespace; `prepare` runs inside before anybody can see it by its name.

        Raises FileExistsError when there is one already.
        """
        if self.exists(name):
            raise FileExistsError(errno.EEXIST, f"network namespace {name} exists")
        self._make_directory()
        target = self.path(name)
        # Left over from a process that was killed between the two steps below: not a namespace, so ours to take.
        target.touch(mode=0o444)

        def make() -> None:
            unshare(CLONE_NEWNET)
            if prepare is not None:
                prepare()
            mount("/proc/thread-self/ns/net", target, "none", MS_BIND)

        try:
            _in_thread(make)
        except BaseException:
            target.unlink(missing_ok=True)
            raise

    def remove(self, name: str) -> None:
        """Take a namespace's name away; the kernel ends it when nobody uses it any more."""
        target = self.path(name)
        if self.exists(name):
            _check(_libc.umount2(os.fsencode(target), _MNT_DETACH), f"umount {target}")
        target.unlink(missing_ok=True)

    def inside(self, name: str, function: Callable[[], T]) -> T:
        """Return what `function` returns when it runs inside a namespace.

        It runs in a thread of its own, so sockets that it opens belong there for good.
        """

        def enter() -> T:
            self.enter(name)
            return function()

        return _in_thread(enter)

    def enter(self, name: str) -> None:
        """Move the calling thread into a namespace, for good."""
        descriptor = self.open(name)
        try:
            setns(descriptor, CLONE_NEWNET)
        finally:
            os.close(descriptor)

    def open(self, name: str) -> int:
        """Return a new descriptor of a namespace; the caller closes it."""
        try:
            descriptor = os.open(self.path(name), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise NoSuchNamespace(f"there is no network namespace {name}") from None
        # Asked of what was opened: a name may lose its namespace at any moment.
        if os.fstat(descriptor).st_dev != _namespace_device():
            os.close(descriptor)
            raise NoSuchNamespace(f"there is no network namespace {name}")
        return descriptor

    def _make_directory(self) -> None:
        self.directory.mkdir(mode=0o755, parents=True, exist_ok=True)
        # As `ip netns add` does it: a shared mount, so that a name removed in one mount namespace goes from all
        # of them and none keeps the network namespace alive.
        try:
            mount("", self.directory, "none", MS_SHARED | MS_REC)
        except OSError as failure:
            if failure.errno != errno.EINVAL:
                raise
            mount(str(self.directory), self.directory, "none", MS_BIND | MS_REC)
            mount("", self.directory, "none", MS_SHARED | MS_REC)


def in_a_new_namespace(function: Callable[[], T]) -> T:
    """Return what `function` returns inside a network namespace without a name, which ends with it."""

    def enter() -> T:
        unshare(CLONE_NEWNET)
        return function()

    return _in_thread(enter)


def _namespace_device() -> int:
    return Path("/proc/self/ns/net").stat().st_dev


def _in_thread(function: Callable[[], T]) -> T:
    results: list[T] = []
    failures: list[BaseException] = []

    def run() -> None:
        try:
            results.append(function())
        except BaseException as failure:
            failures.append(failure)

    thread = threading.Thread(target=run, name="namespace")
    thread.start()
    thread.join()
    if failures:
        raise failures[0]
    return results[0]
