import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from landbridge.domain.errors import OperatorError
from landbridge.identity.state_keys import open_state_keys


def test_keys_are_made_once_and_read_afterwards(tmp_path: Path):
    keys = open_state_keys(tmp_path)

    assert open_state_keys(tmp_path) == keys
    assert len(keys.signing_key) == len(keys.sealing_key) == 32
    assert keys.signing_key != keys.sealing_key
    assert sorted(path.name for path in tmp_path.iterdir()) == ["secret-sealing.key", "token-signing.key"]


def test_key_files_belong_to_their_owner_alone(tmp_path: Path):
    open_state_keys(tmp_path)

    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602])
def test_a_key_file_that_others_may_use_is_refused_with_the_command_to_run(tmp_path: Path, mode: int):
    directory = tmp_path / "the state"
    directory.mkdir()
    open_state_keys(directory)
    path = directory / "secret-sealing.key"
    path.chmod(mode)

    with pytest.raises(OperatorError, match=f"run chmod 600 '{path}'"):
        open_state_keys(directory)


@pytest.mark.parametrize("text", ["", "00", "zz" * 32, "ab" * 33, "secretsecret", "\xff"])
def test_a_damaged_key_file_is_refused_and_not_quoted(tmp_path: Path, text: str):
    open_state_keys(tmp_path)
    path = tmp_path / "token-signing.key"
    path.write_text(text, encoding="latin-1")

    with pytest.raises(OperatorError, match="damaged") as refusal:
        open_state_keys(tmp_path)
    if text:
        said = "".join(traceback.format_exception(refusal.value, limit=0))
        assert text not in said.replace(str(tmp_path), "")


def test_processes_that_start_at_once_agree(tmp_path: Path):
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(lambda _: open_state_keys(tmp_path), range(8)))

    assert len(keys) == 1
    assert len(list(tmp_path.iterdir())) == 2


def test_a_missing_state_directory_is_the_operators_concern(tmp_path: Path):
    with pytest.raises(OperatorError, match=r"token-signing\.key"):
        open_state_keys(tmp_path / "absent")


def test_keys_do_not_show(tmp_path: Path):
    keys = open_state_keys(tmp_path)

    assert repr(keys) == "StateKeys()"
