"""Consent to held removals reaches the agent that runs from the same state directory, and nobody else."""

import asyncio
import os
import stat
from pathlib import Path

import pytest

from landbridge.bootstrap.confirming import Consent, confirm_beside, taking_consent
from landbridge.domain.errors import OperatorError
from landbridge.state import StateDirectory, open_state
from tests.integration.conftest import World


def asked(state: StateDirectory, pool: str = "default") -> Consent | None:
    return confirm_beside(state, pool, shares_database=False)


def sockets(state: Path) -> list[Path]:
    return list(state.glob("operator-*.sock"))


async def test_where_nothing_is_held_consent_changes_nothing(tmp_path: Path, world: World):
    async with taking_consent(tmp_path, "default", world.parts.reconciler):
        assert await asyncio.to_thread(asked, StateDirectory(tmp_path)) == Consent(0, 0)


async def test_only_the_owner_of_the_state_directory_may_consent(tmp_path: Path, world: World):
    async with taking_consent(tmp_path, "default", world.parts.reconciler):
        (path,) = sockets(tmp_path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600

    assert sockets(tmp_path) == []


async def test_what_is_no_question_is_not_answered(tmp_path: Path, world: World):
    async with taking_consent(tmp_path, "default", world.parts.reconciler):
        reader, writer = await asyncio.open_unix_connection(str(sockets(tmp_path)[0]))
        writer.write(b"remove everything\n")

        assert await asyncio.wait_for(reader.read(), 10) == b""
        writer.close()


async def test_consent_for_another_pool_is_refused_with_the_pool_s_name(tmp_path: Path, world: World):
    state = open_state(tmp_path)
    lock = state.lock()
    async with taking_consent(tmp_path, "rack-2", world.parts.reconciler):
        with pytest.raises(OperatorError, match="owns pool rack-2, not default"):
            await asyncio.to_thread(asked, state)
    os.close(lock)


def test_a_server_that_cannot_be_told_is_named_with_the_way_out(tmp_path: Path):
    state = open_state(tmp_path)
    lock = state.lock()

    with pytest.raises(OperatorError, match=f"process id {os.getpid()} cannot be told.*--confirm-removals"):
        asked(state)
    os.close(lock)


def test_where_nothing_runs_nobody_is_told_not_even_by_what_a_killed_server_left(tmp_path: Path):
    (tmp_path / "operator-1.sock").touch()

    assert asked(StateDirectory(tmp_path)) is None
    assert asked(StateDirectory(tmp_path / "absent")) is None
