"""What a backup holds, what is refused as one, and what restoring leaves behind."""

import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from landbridge.bootstrap.backing_up import Restored, backup, restore
from landbridge.domain.errors import OperatorError
from landbridge.settings import Settings
from landbridge.state import StateInUse, open_state
from landbridge.store.sqlite import SqliteStore

KEY = "5ea1" * 16
SQLITE = Settings()
POSTGRESQL = Settings(database="postgresql://landbridge@db.example/landbridge")


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state directory as a server leaves it."""
    directory = open_state(tmp_path / "state")
    directory.region("lab-1")
    directory.instance()
    SqliteStore.open(directory.database).close()
    (directory.path / "secret-sealing.key").write_text(f"{KEY}\n")
    (directory.path / "secret-sealing.key").chmod(0o600)
    (directory.path / "token-signing.key").write_text("516e" * 16 + "\n")
    return directory.path


@pytest.fixture
def made(state: Path, tmp_path: Path) -> Path:
    """A backup of it."""
    backup(SQLITE, state, tmp_path / "backup")
    return tmp_path / "backup"


def execute(file: Path, *statements: str) -> None:
    with closing(sqlite3.connect(file)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def marker_of(file: Path) -> int:
    """Return what tells one database from another."""
    with closing(sqlite3.connect(file)) as connection:
        return connection.execute("PRAGMA user_version").fetchone()[0]


def listing(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()} - {"lock"}


def test_a_backup_is_its_owner_s_alone_and_one_whole_file(made: Path):
    assert stat.S_IMODE(made.stat().st_mode) == 0o600
    assert [path.name for path in made.parent.iterdir() if "backup" in path.name] == ["backup"]
    assert marker_of(made) == 0


def test_a_backup_is_never_written_over_a_file(state: Path, made: Path):
    before = made.read_bytes()

    with pytest.raises(OperatorError, match="exists: give another file"):
        backup(SQLITE, state, made)

    assert made.read_bytes() == before


def test_what_has_no_database_cannot_be_backed_up(tmp_path: Path):
    with pytest.raises(OperatorError, match="holds no database: give the --state"):
        backup(SQLITE, tmp_path, tmp_path / "backup")


def test_a_damaged_database_leaves_no_backup(state: Path, tmp_path: Path):
    damage(state / "landbridge.sqlite3")

    with pytest.raises(OperatorError, match="damaged"):
        backup(SQLITE, state, tmp_path / "backup")

    assert listing(tmp_path) == {"state"}


def test_of_postgresql_s_databases_the_message_says_what_to_run(tmp_path: Path):
    with pytest.raises(OperatorError, match="run pg_dump --format=custom"):
        backup(POSTGRESQL, tmp_path, tmp_path / "backup")
    with pytest.raises(OperatorError, match="run pg_restore --clean"):
        restore(POSTGRESQL, tmp_path, tmp_path / "backup")


def test_a_restored_database_is_the_backup_s_and_the_one_before_is_kept(state: Path, made: Path):
    execute(state / "landbridge.sqlite3", "PRAGMA user_version = 7")

    done = restore(SQLITE, state, made)

    assert done.replaced is not None
    assert marker_of(state / "landbridge.sqlite3") == 0
    assert marker_of(done.replaced) == 7
    assert stat.S_IMODE((state / "landbridge.sqlite3").stat().st_mode) == 0o600
    SqliteStore.open(state / "landbridge.sqlite3").close()


def test_another_directory_gets_all_that_the_database_is_worth_nothing_without(state: Path, made: Path, tmp_path: Path):
    done = restore(SQLITE, tmp_path / "other", made)

    other = tmp_path / "other"
    assert listing(other) == {"landbridge.sqlite3", "region", "instance", "secret-sealing.key"}
    assert all(
        (other / name).read_text() == (state / name).read_text()
        for name in ("region", "instance", "secret-sealing.key")
    )
    assert stat.S_IMODE((other / "secret-sealing.key").stat().st_mode) == 0o600
    assert done == Restored(done.contents, None, ())


def test_no_key_is_left_in_a_restored_database(made: Path, tmp_path: Path):
    assert KEY.encode() in made.read_bytes()

    restore(SQLITE, tmp_path / "other", made)

    assert KEY.encode() not in (tmp_path / "other" / "landbridge.sqlite3").read_bytes()


def test_a_directory_with_another_key_gets_the_backup_s_and_keeps_its_own_beside_it(state: Path, made: Path):
    (state / "secret-sealing.key").write_text("another\n")

    done = restore(SQLITE, state, made)

    assert (state / "secret-sealing.key").read_text() == f"{KEY}\n"
    (kept,) = state.glob("secret-sealing.key.replaced-*")
    assert kept.read_text() == "another\n"
    assert str(kept) in done.remarks[0]


def test_a_copy_beside_its_original_does_not_take_the_data_plane_over(state: Path, made: Path, tmp_path: Path):
    done = restore(SQLITE, tmp_path / "other", made, home_of={(state / "instance").read_text().strip(): state}.get)

    assert not (tmp_path / "other" / "instance").exists()
    assert f"belongs to {state}" in done.remarks[0]


def damage(file: Path) -> None:
    """Overwrite a page in the middle of a database."""
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
    with file.open("r+b") as raw:
        raw.seek(4096 * 8)
        raw.write(b"\xff" * 4096)


def not_sqlite(file: Path) -> None:
    file.write_text("region: lab-1\n")


def someone_elses(file: Path) -> None:
    file.unlink()
    execute(file, "CREATE TABLE notes (text TEXT)")


def empty(file: Path) -> None:
    file.unlink()
    execute(file, "PRAGMA user_version = 1")


def newer(file: Path) -> None:
    execute(file, "UPDATE alembic_version SET version_num = '9999'")


def of_another_region(file: Path) -> None:
    execute(file, "UPDATE carried_state_files SET contents = 'lab-2' WHERE name = 'region'")


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (damage, "damaged"),
        (not_sqlite, "no SQLite database"),
        (someone_elses, "something else"),
        (empty, "no Landbridge database"),
        (newer, "a newer Landbridge"),
        (of_another_region, "region lab-2"),
        (Path.unlink, "there is no file"),
    ],
)
def test_what_cannot_be_used_is_refused_and_nothing_changes(state: Path, made: Path, spoil, why: str):
    spoil(made)
    before = listing(state)

    with pytest.raises(OperatorError, match=why):
        restore(SQLITE, state, made)

    assert listing(state) == before
    assert marker_of(state / "landbridge.sqlite3") == 0


def test_the_database_itself_is_no_backup_of_itself(state: Path):
    with pytest.raises(OperatorError, match="itself: give a backup"):
        restore(SQLITE, state, state / "landbridge.sqlite3")


def test_a_backup_of_an_older_version_is_taken_for_the_next_start_to_migrate(state: Path, made: Path):
    execute(made, "UPDATE alembic_version SET version_num = '0007'")

    assert restore(SQLITE, state, made).contents.schema == "0007"


def test_nothing_is_restored_under_a_server(state: Path, made: Path):
    other_server = open_state(state).lock()

    with pytest.raises(StateInUse, match="end it first"):
        restore(SQLITE, state, made)

    assert other_server


def test_nothing_is_restored_under_whoever_has_the_database_open(state: Path, made: Path):
    with SqliteStore.open(state / "landbridge.sqlite3"), pytest.raises(OperatorError, match="end `landbridge api`"):
        restore(SQLITE, state, made)

    assert marker_of(state / "landbridge.sqlite3") == 0
    assert list(state.glob("*replaced*")) == []


def test_a_damaged_database_is_replaced_and_kept_as_it_is(state: Path, made: Path):
    (state / "landbridge.sqlite3").write_bytes(b"no database at all" * 400)

    done = restore(SQLITE, state, made)

    assert done.replaced is not None
    assert done.replaced.read_bytes().startswith(b"no database at all")
    SqliteStore.open(state / "landbridge.sqlite3").close()


def test_a_plain_copy_of_a_database_is_restored_with_what_was_written_last(state: Path, tmp_path: Path):
    copy = tmp_path / "copy.sqlite3"
    with closing(sqlite3.connect(state / "landbridge.sqlite3")) as source:
        source.execute("PRAGMA wal_autocheckpoint = 0")
        source.execute("PRAGMA user_version = 7")
        source.commit()
        for end in ("", "-wal"):
            Path(f"{copy}{end}").write_bytes(Path(f"{state / 'landbridge.sqlite3'}{end}").read_bytes())

    done = restore(SQLITE, tmp_path / "other", copy)

    assert marker_of(tmp_path / "other" / "landbridge.sqlite3") == 7
    assert "no copy of secret-sealing.key" in done.remarks[0]
