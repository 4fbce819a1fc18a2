"""Settings of the database: what makes no sense is named before the server starts, and no password is shown."""

from pathlib import Path

import pytest

from landbridge.bootstrap.databases import open_beside, open_to_look
from landbridge.domain.errors import OperatorError
from landbridge.settings import Settings, read_settings
from landbridge.state import StateDirectory


def read(tmp_path: Path, text: str) -> Settings:
    path = tmp_path / "landbridge.toml"
    path.write_text(text)
    return read_settings(path)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://landbridge@db.example/landbridge",
        "postgres://db.example:5432,other.example:5433/landbridge?target_session_attrs=read-write",
        "postgresql://landbridge@/landbridge?host=/run/postgresql",
        "postgresql://landbridge@[2001:db8::1]:5432/landbridge?passfile=/etc/landbridge/pgpass",
        "postgresql://[2001:db8::1]:5432/landbridge",
    ],
)
def test_an_address_without_a_password_is_taken(tmp_path: Path, url: str):
    assert read(tmp_path, f'database = "{url}"\ndatabase_password_file = "/etc/p"').database == url


@pytest.mark.parametrize(
    "text",
    [
        'database = "postgresql://landbridge:s3cret@db.example/landbridge"',
        'database = "postgresql://:s3cret@db.example/landbridge"',
        'database = "postgresql://db.example/landbridge?user=x&password=s3cret"',
        'database = "mysql://landbridge:s3cret@db.example/landbridge"',
        'database = "host=db.example password=s3cret"',
    ],
)
def test_a_password_in_the_address_is_refused_and_not_shown(tmp_path: Path, text: str):
    with pytest.raises(OperatorError, match=r"database_password_file|postgresql://") as refused:
        read(tmp_path, text)

    assert "s3cret" not in str(refused.value)


def test_a_password_without_an_address_is_refused(tmp_path: Path):
    with pytest.raises(OperatorError, match="set database too"):
        read(tmp_path, 'database_password_file = "/etc/p"')


def test_a_password_file_that_is_not_there_is_named_before_anything_starts(tmp_path: Path):
    settings = read(tmp_path, f'database = "postgresql:///x?host={tmp_path}"\ndatabase_password_file = "{tmp_path}/p"')

    for open_store in (open_to_look, open_beside):
        with pytest.raises(OperatorError, match="cannot read the database_password_file"):
            open_store(settings, StateDirectory(tmp_path))


def test_without_a_database_a_state_directory_must_have_one(tmp_path: Path):
    for open_store in (open_to_look, open_beside):
        with pytest.raises(OperatorError, match="holds no database"):
            open_store(Settings(), StateDirectory(tmp_path))
