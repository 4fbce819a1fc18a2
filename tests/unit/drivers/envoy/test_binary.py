from pathlib import Path

import pytest

from landbridge.drivers.envoy.binary import find_envoy
from landbridge.drivers.envoy.listeners import ProxyUnavailable


def test_the_program_of_the_package_is_found_by_itself():
    assert find_envoy().name == "envoy"


def test_a_chosen_program_wins(tmp_path: Path):
    chosen = tmp_path / "envoy-1.99"
    chosen.touch()

    assert find_envoy(str(chosen)) == chosen


def test_a_chosen_program_that_is_not_there_is_said_and_not_replaced():
    with pytest.raises(ProxyUnavailable, match="correct the setting"):
        find_envoy("/nowhere/envoy")
