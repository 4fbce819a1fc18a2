"""Keep one Envoy process: start it when it is needed, start it again when it dies, and adopt it after our restart.

It lives inside the hub's network namespace, in a session of its own, so that it outlives us. Which process is ours is
kept in a file: its id and the moment of its start, what it was configured with, and which hub it lives in. There is
never a second one: before a start, also a process that was started but never recorded is looked for and ended.
"""

import contextlib
import hashlib
import json
import os
import resource
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from landbridge.control.backoff import delay_seconds
from landbridge.drivers.envoy import admin
from landbridge.drivers.envoy.binary import find_setpriv
from landbridge.drivers.envoy.descriptors import descriptor_limit
from landbridge.drivers.envoy.listeners import ProxyUnavailable
from landbridge.drivers.envoy.recorded import (
    Record,
    boot_id,
    read_record,
    readable,
    send,
    started_at,
    stop_process,
    write_private,
)
from landbridge.drivers.envoy.startup import Budget, Files, bootstrap, budget, command, confinement
from landbridge.drivers.linux.namespaces import Namespaces, NoSuchNamespace

LOG_BYTES = 8 * 2**20
"""How large a log may grow before it is put away."""

# A process that has lived this long did not die of how it was started.
_STEADY_SECONDS = 30.0
_LONGEST_DELAY_SECONDS = 10.0
_ANY_BUDGET = Budget(descriptors=0, listeners=0, connections=0)
_LOG_CHECK_SECONDS = 60.0
# What Envoy may write at most while nobody is there to put its log away.
_FILE_BYTES = 64 * 2**20


@dataclass(frozen=True, slots=True)
class ProcessState:
    """How the proxy is."""

    pid: int | None
    """None while it does not run."""
    restart_count: int
    """How often it was started again after it had died."""
    problem: str
    """Why it does not run; empty when nothing is wrong."""


@dataclass(frozen=True, slots=True)
class _Process:
    pid: int
    descriptor: int
    """A pidfd: names this very process, also after its id was given to another one."""
    hub: int
    """The identity of the hub that it lives in."""


class EnvoyProcess:
    """The Envoy of one state directory. Safe to use from several threads; waiting for it happens in one of its own.

    `chance` gives numbers in [0, 1) for the delays between starts.
    """

    def __init__(
        self,
        namespaces: Namespaces,
        hub: str,
        directory: Path,
        binary: Path,
        concurrency: int,
        listeners_limit: int,
        chance: Callable[[], float],
    ) -> None:
        """Keep it in the namespace `hub`, with its files in `directory`. Raises ProxyUnavailable."""
        self.files = Files(directory.resolve())
        self.budget: Budget = budget(descriptor_limit(), listeners_limit, concurrency)
        self._bootstrap = bootstrap(self.files, self.budget)
        self._binary = binary
        self._command = command(binary, self.files, concurrency)
        self._confinement = confinement(find_setpriv())
        self._namespaces = namespaces
        self._hub = hub
        self._chance = chance
        self._lock = threading.Lock()
        self._process: _Process | None = None
        self._watcher: threading.Thread | None = None
        self._wake_reader, self._wake_writer = os.pipe2(os.O_CLOEXEC)
        self._is_leaving = False
        self._restart_count = 0
        self._problem = ""

    @property
    def state(self) -> ProcessState:
        """How it is at this moment."""
        process = self._process
        return ProcessState(process.pid if process else None, self._restart_count, self._problem)

    def is_alive(self) -> bool:
        """Say whether a process of ours lives, whoever started it; changes nothing."""
        return read_record(self.files) is not None

    def adopt(self) -> bool:
        """Watch a process that an earlier server has left, and say whether there is one to use.

        One that was configured otherwise, or lives in a hub that was replaced, is of no use: it is ended.
        """
        with self._lock:
            return self._is_watched() or self._adopt()

    def ensure(self) -> None:
        """See to it that it runs, or will soon. Raises ProxyUnavailable when it cannot be started at all."""
        with self._lock:
            hub = self._hub_identity()
            if self._process is not None and self._process.hub != hub:
                # Its sockets would be in a hub that nobody can reach any more. The watcher starts it again.
                send(self._process.descriptor, signal.SIGKILL)
                return
            if self._is_watched() or self._adopt():
                return
            self._start()
            self._watch()

    def put_log_away(self) -> None:
        """Begin a new log when the present one has grown; one old one is kept. Done once a minute by itself."""
        log = self.files.log
        with contextlib.suppress(OSError):
            if log.stat().st_size > LOG_BYTES:
                log.replace(log.with_suffix(".log.1"))
                admin.reopen_log(self.files.admin_socket)

    def stop(self) -> None:
        """End it in order, and forget it."""
        self.close()
        stop_process(self.files)

    def close(self) -> None:
        """Watch it no more; it goes on."""
        with self._lock:
            if self._is_leaving:
                return
            self._is_leaving = True
            os.write(self._wake_writer, b"x")
        if self._watcher is not None:
            self._watcher.join()
        if self._process is not None:
            os.close(self._process.descriptor)
            self._process = None
        os.close(self._wake_reader)
        os.close(self._wake_writer)

    def _is_watched(self) -> bool:
        return self._watcher is not None

    def _hub_identity(self) -> int:
        identity = self._namespaces.identity(self._hub)
        if identity is None:
            raise ProxyUnavailable(f"there is no network namespace {self._hub} for the proxy")
        return identity

    def _configuration(self) -> str:
        """Return what stands for how it is configured, the program's release included.

        Not how many descriptors it may have: who starts us in another way should not cut all connections by it.
        """
        try:
            size = self._binary.stat().st_size
        except OSError as error:
            raise ProxyUnavailable(f"there is no Envoy at {self._binary}: {error.strerror}") from error
        arguments = [*self._confinement[1:], *self._command[1:]]
        text = json.dumps([bootstrap(self.files, _ANY_BUDGET), arguments, size])
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def _adopt(self) -> bool:
        found = read_record(self.files)
        if found is None:
            return False
        if not self._fits(found):
            stop_process(self.files)
            return False
        try:
            descriptor = os.pidfd_open(found.pid)
        except ProcessLookupError:
            return False
        if read_record(self.files) != found:
            os.close(descriptor)  # it has ended, and its id may be another process's by now
            return False
        self._process = _Process(found.pid, descriptor, found.hub)
        self._watch()
        return True

    def _fits(self, found: Record) -> bool:
        if self._namespaces.identity(self._hub) != found.hub:
            return False
        try:
            return self._configuration() == found.configuration
        except ProxyUnavailable:
            return True  # nothing better could take its place

    def _start(self) -> None:
        hub, configuration = self._hub_identity(), self._configuration()
        files = self.files
        try:
            stop_process(files)
            files.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_private(files.bootstrap, self._bootstrap)
            pid = self._namespaces.inside(self._hub, self._spawn)
            # One that ends at once has no start to record; it is waited for like any other.
            Record(pid, started_at(pid) or 0, boot_id(), configuration, hub).write(files)
            self._process = _Process(pid, os.pidfd_open(pid), hub)
        except (OSError, NoSuchNamespace) as error:
            with contextlib.suppress(OSError):
                stop_process(files)
            raise ProxyUnavailable(f"the proxy cannot be started: {error}") from error
        self._problem = ""

    def _spawn(self) -> int:
        """Start it from a thread that is inside the hub; return its process id."""
        log = (str(self.files.log), os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        pid = os.posix_spawn(
            self._confinement[0],
            [*self._confinement, *self._command],
            {},  # nothing of our environment concerns it
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, *log),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsid=True,
            setsigmask=(),
        )
        # A process that writes more fails to write, since Python has SIGXFSZ ignored and that is inherited.
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (_FILE_BYTES, _FILE_BYTES))
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (self.budget.descriptors, self.budget.descriptors))
        return pid

    def _watch(self) -> None:
        self._watcher = threading.Thread(target=self._keep, name="envoy-watch", daemon=True)
        self._watcher.start()

    def _keep(self) -> None:
        """Wait for its end, and start it again, until we are told to leave."""
        failure_count, since = 0, time.monotonic()
        while True:
            process = self._process
            if process is not None:
                if not self._wait(process.descriptor):
                    return
                self._bury(process)
                if time.monotonic() - since > _STEADY_SECONDS:
                    failure_count = 0
            failure_count += 1
            # The first time at once: most deaths are one of a kind.
            if failure_count > 1 and self._is_told(self._delay_seconds(failure_count)):
                return
            since = time.monotonic()
            with self._lock:
                if self._is_leaving:
                    return
                self._restart_count += 1
                try:
                    self._start()
                except ProxyUnavailable as error:
                    self._problem = str(error)

    def _wait(self, descriptor: int) -> bool:
        """Wait until a process has ended; say False when we are to leave before."""
        while True:
            ready = readable((descriptor, self._wake_reader), _LOG_CHECK_SECONDS)
            if self._wake_reader in ready:
                return False
            if descriptor in ready:
                return True
            self.put_log_away()

    def _is_told(self, seconds: float) -> bool:
        return bool(readable((self._wake_reader,), seconds))

    def _delay_seconds(self, failure_count: int) -> float:
        return min(delay_seconds(failure_count - 1, self._chance()), _LONGEST_DELAY_SECONDS)

    def _bury(self, process: _Process) -> None:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(process.pid, os.WNOHANG)  # it may be a child of ours, or of a server before us
        with self._lock:
            self._process = None
            self._problem = f"it has ended; its last words are in {self.files.log}"
        os.close(process.descriptor)
