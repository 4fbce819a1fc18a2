"""A short soak: `make soak` does the same for as long as asked."""

import pytest

from landbridge.drivers.linux.user_namespace import is_privileged
from tests.soak.ground import Database
from tests.soak.soaking import LEAST_KILLS, soak

SECONDS = 8.0
SEED = 5


@pytest.mark.skipif(not is_privileged(), reason="it kills the machine's own agents, which only root can have")
@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_whatever_is_killed_under_load_nothing_acknowledged_is_lost_and_nothing_is_wrong(database: Database):
    summary = soak(database, SECONDS, SEED)
    assert not summary.wrong, f"{summary}\n{summary.wrong}"
    assert summary.kills.total() >= LEAST_KILLS - 1
    assert summary.compared > 10
    assert summary.reached
    assert summary.echoes
