"""Keep a state directory: its lock, the instance it stands for, and where its lab's hosts are.

One server at a time has the lock; the kernel drops it with the process, so a killed server leaves nothing to clean up.
Standard library only, because `landbridge lab exec` must be quick.
"""

import contextlib
import fcntl
import json
import os
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from landbridge.domain.errors import OperatorError

DEFAULT_REGION = "lab-1"
"""The region of a new installation that was told none."""

_INSTANCES = Path("/run/landbridge/instances")
"""Where servers that run as root say which instance lives in which state directory."""


class StateInUse(OperatorError):
    """A living server has the state directory."""


@dataclass(frozen=True, slots=True)
class StateDirectory:
    """One installation's files. Made by `open_state`."""

    path: Path

    @property
    def database(self) -> Path:
        """The database file."""
        return self.path / "landbridge.sqlite3"

    @property
    def _lock_file(self) -> Path:
        return self.path / "lock"

    @property
    def _lab_file(self) -> Path:
        return self.path / "lab.json"

    def lock(self) -> int:
        """Take the directory for this process; return the descriptor that holds it.

        Raises:
            StateInUse: a living server has it; the message names its process id.
        """
        descriptor = os.open(self._lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise StateInUse(
                f"the server with process id {self.server_pid()} is using {self.path}: "
                "end it first, or give another --state"
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        return descriptor

    def server_pid(self) -> int | None:
        """Return the process id of the living server of this directory, or None."""
        try:
            descriptor = os.open(self._lock_file, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            text = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
            return int(text) if text.isdigit() else 0
        finally:
            os.close(descriptor)
        return None

    def instance(self) -> str:
        """Return the id that labels everything of this installation; made at the first call."""
        text = self._keep("instance", str(uuid.uuid4()))
        try:
            return str(uuid.UUID(text))
        except ValueError:
            raise OperatorError(f"{self.path / 'instance'} does not hold a UUID: restore it from a copy") from None

    def _keep(self, name: str, text: str) -> str:
        """Return what the file of this name holds; `text` if there was none, which it holds from now on."""
        path = self.path / name
        if not path.exists():
            # The contents are on disk before the name is: a crash leaves all or nothing.
            draft = self.path / f".{name}.{os.getpid()}"
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(text + "\n")
                file.flush()
                os.fsync(file.fileno())
            with contextlib.suppress(FileExistsError):
                os.link(draft, path)
            draft.unlink()
        return path.read_text().strip()

    def region(self, wanted: str) -> str:
        """Return the region that this installation serves; the first one that is wanted stays for ever.

        Names, pools and edges carry it: under another region a server would not find its own data plane.

        Raises:
            OperatorError: another region than the installation's is wanted.
        """
        kept = self._keep("region", wanted or DEFAULT_REGION)
        if wanted and wanted != kept:
            raise OperatorError(
                f"{self.path} belongs to region {kept}, not {wanted}: give another --state, or write {kept} as region"
            )
        return kept

    def write_lab(self, region: str, hosts: dict[str, str]) -> None:
        """Keep the namespaces of the lab's hosts for `lab exec` and `lab down`."""
        fresh = self._lab_file.with_suffix(".new")
        fresh.write_text(json.dumps({"region": region, "hosts": hosts}))
        fresh.replace(self._lab_file)

    def read_lab(self) -> tuple[str, dict[str, str]] | None:
        """Return region and host namespaces of the lab that runs from here, or None."""
        try:
            record = cast("dict[str, object]", json.loads(self._lab_file.read_text()))
        except (FileNotFoundError, ValueError):
            return None
        return str(record["region"]), cast("dict[str, str]", record["hosts"])

    def forget_lab(self) -> None:
        """Say that no lab runs from here any more."""
        self._lab_file.unlink(missing_ok=True)


def open_state(path: Path) -> StateDirectory:
    """Return the state directory, made with mode 0700 if it is absent.

    Raises:
        OperatorError: it cannot be made or written.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise OperatorError(
            f"cannot make the state directory {path}: {error.strerror}; give another --state"
        ) from error
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        raise OperatorError(f"cannot write to the state directory {path}: give another --state")
    return StateDirectory(path.resolve())


def register_instance(instance: str, state: StateDirectory) -> None:
    """Tell other servers on this machine where an instance lives."""
    _INSTANCES.mkdir(mode=0o755, parents=True, exist_ok=True)
    (_INSTANCES / instance).write_text(f"{state.path}\n")


def forget_instance(instance: str) -> None:
    """Tell other servers that nothing of an instance is left."""
    (_INSTANCES / instance).unlink(missing_ok=True)


def home_of(instance: str) -> Path | None:
    """Return the state directory that an instance on this machine lives in; None: none is known that still does."""
    try:
        path = Path((_INSTANCES / str(uuid.UUID(instance))).read_text().strip())
        return path if (path / "instance").read_text().strip() == instance else None
    except (OSError, ValueError):
        return None


def describe_owner(instance: str | None) -> str:
    """Say who holds a name that we want, and what to do about it."""
    if instance is None:
        return "nobody of ours made it: remove it, or choose another region in the lab file"
    try:
        path = Path((_INSTANCES / instance).read_text().strip())
    except FileNotFoundError:
        return f"landbridge instance {instance} made it, whose state directory is unknown: remove it by hand"
    pid = StateDirectory(path).server_pid()
    if pid == os.getpid():
        return (
            f"this very state directory made it when its instance was {instance}: "
            f"write that into {path / 'instance'} again, or remove it by hand"
        )
    if pid is None:
        command = "detach" if StateDirectory(path).read_lab() is None else "lab down"
        return f"a server that has ended left it: run `landbridge {command} --state {path}`"
    return f"the living server with process id {pid} and state directory {path} holds it"
