"""Back an installation on SQLite up to one file, and restore it from there.

A backup holds the database, and of the state directory what the database is worth nothing without: the region, whose
name is in every id; the key that opens the secret access keys; and the instance, by which a data plane that still runs
is adopted. Not the key that signs tokens: with a new one users sign in again, and a stolen backup signs nothing.
"""

import contextlib
import os
import tempfile
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from shutil import copyfile, rmtree

from landbridge.bootstrap.composing import SystemClock
from landbridge.domain.errors import OperatorError
from landbridge.settings import Settings
from landbridge.state import StateDirectory, home_of, open_state
from landbridge.store.backup import Contents, checked, copy_database, let_go_of, take_out_carried

_REGION, _INSTANCE, _SEALING_KEY = "region", "instance", "secret-sealing.key"
_CARRIED = (_REGION, _INSTANCE, _SEALING_KEY)
_MOST_CHARACTERS = 4096
_ROOM = ".restoring-"


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restoration has done."""

    contents: Contents
    replaced: Path | None
    """Where the database is now that was there before; None: there was none."""
    remarks: tuple[str, ...]
    """What the operator has to know beside that."""


def backup(settings: Settings, state_path: Path, file: Path) -> Contents:
    """Copy the database and what belongs to it to a file that is absent; servers may be running.

    Raises:
        OperatorError: there is no database, or it cannot be copied; or it is a PostgreSQL server's, which has means of
            its own.
    """
    if settings.database:
        raise OperatorError(
            "the database is PostgreSQL's: run pg_dump --format=custom --file=FILE 'URL' with the URL of the setting "
            f"database, and copy region, instance and the two key files of {state_path}; see "
            "docs/how-to/back-up-and-restore.md"
        )
    state = StateDirectory(state_path)
    if not state.database.exists():
        raise OperatorError(f"{state_path} holds no database: give the --state of a server")
    if os.path.lexists(file):
        raise OperatorError(f"{file} exists: give another file, or remove it first")
    with _draft_beside(file) as draft:
        carried = {name: text for name in _CARRIED if (text := _text_of(state_path / name)) is not None}
        contents = copy_database(state.database, draft, carried)
        try:
            # A name that somebody else has taken meanwhile is refused, and a file that is not whole never has it.
            os.link(draft, file)
            _sync_directory(file.parent)
        except OSError as error:
            raise OperatorError(f"cannot make {file}: {error.strerror}; give a file in another directory") from error
    return contents


def restore(
    settings: Settings, state_path: Path, file: Path, home_of: Callable[[str], Path | None] = home_of
) -> Restored:
    """Let the database of a state directory be that of a backup; the one that was there is kept beside it.

    `home_of` knows in which state directory an instance lives on this machine.

    Raises:
        OperatorError: a process uses the directory, or the file is no backup that can be used here. Then nothing has
            changed.
    """
    if settings.database:
        raise OperatorError(
            "the database is PostgreSQL's: end all servers, run pg_restore --clean --if-exists --single-transaction "
            "--dbname='URL' FILE with the URL of the setting database, and start them again; see "
            "docs/how-to/back-up-and-restore.md"
        )
    if not file.is_file():
        raise OperatorError(f"there is no file {file}")
    state = open_state(state_path)
    state.lock()
    if state.database.exists() and state.database.samefile(file):
        raise OperatorError(f"{file} is the database of {state_path} itself: give a backup")
    with _room_in(state.path) as room:
        draft = room / file.name
        _copy(file, draft)
        contents = checked(draft)
        carried = take_out_carried(draft)
        _check_region(state, carried)
        return _put_in_place(state, draft, carried, contents, home_of)


def _put_in_place(
    state: StateDirectory,
    draft: Path,
    carried: Mapping[str, str],
    contents: Contents,
    home_of: Callable[[str], Path | None],
) -> Restored:
    stamp = f"{SystemClock().now():replaced-%Y%m%dT%H%M%SZ}"
    has_one = state.database.exists()
    replaced = _free_name(state.database, stamp) if has_one else None
    is_whole = not has_one or let_go_of(state.database)
    remarks = _put_files(state, carried, contents, stamp, home_of)
    try:
        if replaced is not None and not is_whole:
            # They belong to the damaged file: beside another one SQLite might take them for its own.
            for end in ("-wal", "-shm"):
                with contextlib.suppress(FileNotFoundError):
                    Path(f"{state.database}{end}").rename(f"{replaced}{end}")
        if replaced is not None:
            # A second name first: at no moment is there no database, for which a server would make an empty one.
            os.link(state.database, replaced)
        draft.chmod(0o600)
        _give_to_owner(draft, state.path)
        draft.replace(state.database)
        _sync_directory(state.path)
    except OSError as error:
        raise OperatorError(f"cannot replace {state.database}: {error.strerror}; see who owns the directory") from error
    return Restored(contents, replaced, tuple(remarks))


def _put_files(
    state: StateDirectory,
    carried: Mapping[str, str],
    contents: Contents,
    stamp: str,
    home_of: Callable[[str], Path | None],
) -> list[str]:
    """Write what a backup carries into the state directory, where it has to be; return what is to be said about it."""
    remarks: list[str] = []
    if _REGION in carried:
        _write(state.path / _REGION, carried[_REGION])
    needed = (_REGION, _SEALING_KEY) if contents.services or contents.endpoints else (_SEALING_KEY,)
    missing = [name for name in needed if name not in carried and not (state.path / name).exists()]
    if missing:
        remarks.append(f"the file has no copy of {' and '.join(missing)}: put yours into {state.path} before the start")
    key = state.path / _SEALING_KEY
    if _SEALING_KEY in carried and _text_of(key) != carried[_SEALING_KEY]:
        if key.exists():
            kept = _free_name(key, stamp)
            key.rename(kept)
            remarks.append(f"the key of the access keys is the backup's now; the one before is {kept}")
        _write(key, carried[_SEALING_KEY])
    instance = state.path / _INSTANCE
    if _INSTANCE in carried and not instance.exists():
        home = home_of(carried[_INSTANCE].strip())
        if home is None or home == state.path:
            _write(instance, carried[_INSTANCE])
        else:
            remarks.append(f"the data plane of the backup belongs to {home} on this machine, and stays there")
    elif _INSTANCE in carried and _text_of(instance) != carried[_INSTANCE]:
        remarks.append("the backup is another installation's: what this one has wired is unknown to it")
    return remarks


def _check_region(state: StateDirectory, carried: Mapping[str, str]) -> None:
    own = _text_of(state.path / _REGION)
    if own is not None and _REGION in carried and own.strip() != carried[_REGION].strip():
        raise OperatorError(
            f"the backup is of region {carried[_REGION].strip()}, and {state.path} of {own.strip()}: "
            "give another --state"
        )


@contextlib.contextmanager
def _draft_beside(file: Path) -> Generator[Path]:
    """Give an empty file of our own in the directory of another one; it is gone after the block."""
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
    except OSError as error:
        raise OperatorError(f"cannot write to {file.parent}: {error.strerror}; give another file") from error
    os.close(descriptor)
    try:
        yield Path(name)
    finally:
        for end in ("", "-journal", "-wal", "-shm"):
            Path(f"{name}{end}").unlink(missing_ok=True)


@contextlib.contextmanager
def _room_in(state: Path) -> Generator[Path]:
    """Give a directory of our own, on the file system of the state directory; it is gone after the block."""
    for left in state.glob(f"{_ROOM}*"):
        rmtree(left, ignore_errors=True)  # by who was killed; the directory is ours alone
    try:
        with tempfile.TemporaryDirectory(prefix=_ROOM, dir=state) as name:
            yield Path(name)
    except OSError as error:
        raise OperatorError(f"cannot write to {state}: {error.strerror}; make room, or see who owns it") from error


def _copy(file: Path, draft: Path) -> None:
    """Copy a database, with what was written to it last if it was copied while it was open."""
    for end in ("", "-wal"):
        part = Path(f"{file}{end}")
        if not end or part.exists():
            try:
                copyfile(part, f"{draft}{end}")
            except OSError as error:
                raise OperatorError(f"cannot copy {part} to {draft.parent}: {error.strerror}") from error


def _text_of(path: Path) -> str | None:
    """Return what a small file of a state directory holds; None: there is no such file."""
    try:
        with path.open(encoding="ascii") as file:
            return file.read(_MOST_CHARACTERS)
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise OperatorError(f"cannot read {path}: run this as the server's user, or restore the file") from error


def _write(path: Path, text: str) -> None:
    """Let a file of the state directory hold a text, whole or not at all; it is its owner's alone."""
    if _text_of(path) == text:
        return
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    _give_to_owner(draft, path.parent)
    draft.replace(path)


def _give_to_owner(path: Path, directory: Path) -> None:
    """Let root not leave behind what the owner of the directory cannot use."""
    if os.geteuid() == 0:
        owner = directory.stat()
        os.chown(path, owner.st_uid, owner.st_gid)


def _free_name(path: Path, stamp: str) -> Path:
    """Return a name beside a file that nothing has."""
    names = [path.with_name(f"{path.name}.{stamp}{end}") for end in ("", *(f"-{number}" for number in range(2, 100)))]
    return next(name for name in names if not os.path.lexists(name))


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
