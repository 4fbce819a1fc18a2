"""The state directory: private, one server's, and its instance's for ever."""

import os
import stat
from pathlib import Path

import pytest

from landbridge.domain.errors import OperatorError
from landbridge.state import StateInUse, describe_owner, open_state


def test_a_state_directory_is_made_for_its_owner_alone(tmp_path: Path):
    state = open_state(tmp_path / "deep" / "state")

    assert stat.S_IMODE(state.path.stat().st_mode) == 0o700


def test_one_server_at_a_time_has_it_and_the_other_hears_whose_it_is(tmp_path: Path):
    state = open_state(tmp_path)
    assert state.server_pid() is None

    descriptor = state.lock()

    with pytest.raises(StateInUse, match=str(os.getpid())):
        state.lock()
    assert state.server_pid() == os.getpid()
    os.close(descriptor)
    assert state.server_pid() is None
    os.close(state.lock())


def test_the_instance_is_made_once_and_a_damaged_one_is_refused(tmp_path: Path):
    state = open_state(tmp_path)

    assert state.instance() == open_state(tmp_path).instance()
    (tmp_path / "instance").write_text("nonsense\n")
    with pytest.raises(OperatorError, match="UUID"):
        state.instance()


def test_the_lab_is_remembered_until_it_is_forgotten(tmp_path: Path):
    state = open_state(tmp_path)
    assert state.read_lab() is None

    state.write_lab("lab-1", {"web-1": "lb.lab-1.web-1"})

    assert open_state(tmp_path).read_lab() == ("lab-1", {"web-1": "lb.lab-1.web-1"})
    state.forget_lab()
    assert state.read_lab() is None


def test_a_state_that_cannot_be_made_is_one_sentence(tmp_path: Path):
    (tmp_path / "file").write_text("")

    with pytest.raises(OperatorError, match="give another --state"):
        open_state(tmp_path / "file" / "state")


def test_names_of_nobody_and_of_an_unknown_instance_have_a_way_out():
    assert "remove it" in describe_owner(None)
    assert "00000000" in describe_owner("00000000-0000-4000-8000-000000000000")


def test_a_region_once_chosen_stays_and_another_is_refused(tmp_path: Path):
    state = open_state(tmp_path)

    assert state.region("here") == "here"
    assert state.region("") == "here"
    with pytest.raises(OperatorError, match="belongs to region here, not there"):
        state.region("there")
    assert open_state(tmp_path / "new").region("") == "lab-1"


def test_nothing_half_written_is_left_when_the_first_files_are_made(tmp_path: Path):
    state = open_state(tmp_path)

    state.instance()
    state.region("here")

    assert {path.name for path in tmp_path.iterdir()} == {"instance", "region"}
