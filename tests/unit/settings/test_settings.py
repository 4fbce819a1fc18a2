"""Defaults, the settings file, flags: the later wins."""

from pathlib import Path

import pytest

from landbridge.domain.errors import OperatorError
from landbridge.settings import Settings, read_settings


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "landbridge.toml"
    path.write_text(text)
    return path


def test_flags_win_over_the_file_and_the_file_over_the_defaults(tmp_path: Path):
    path = written(tmp_path, 'listen = "127.0.0.1:1"\nregion = "here"\nsweep_interval_seconds = 5\n')

    settings = read_settings(path, listen="127.0.0.1:2", public_url=None)

    assert settings == Settings(listen="127.0.0.1:2", region="here", sweep_interval_seconds=5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lisen = 'x'", "lisen is no setting"),
        ("listen = 8770", "listen must be a text"),
        ("sweep_interval_seconds = 'often'", "sweep_interval_seconds must be a number"),
        ("sweep_interval_seconds = true", "sweep_interval_seconds must be a number"),
        ("driver = 'ovs'", "write linux or memory"),
        ("log_level = 'loud'", "write DEBUG, INFO, WARNING or ERROR"),
        ("region = 'eu.west'", "without a dot"),
        ("listen = ", "cannot read"),
    ],
)
def test_a_mistake_in_the_file_is_named(tmp_path: Path, text: str, message: str):
    with pytest.raises(OperatorError, match=message):
        read_settings(written(tmp_path, text))


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(OperatorError, match=r"nowhere\.toml"):
        read_settings(tmp_path / "nowhere.toml")
