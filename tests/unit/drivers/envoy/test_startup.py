import json
from pathlib import Path

import pytest

from landbridge.drivers.envoy.listeners import ProxyUnavailable
from landbridge.drivers.envoy.startup import Budget, Files, bootstrap, budget, command


def test_plenty_of_descriptors_leave_listeners_at_their_limit():
    assert budget(1_048_576, listeners_limit=6000, concurrency=2) == Budget(1_048_576, 6000, 518_032)


def test_few_descriptors_are_shared_between_listeners_and_connections():
    assert budget(4096, listeners_limit=6000, concurrency=2) == Budget(4096, 1024, 768)


def test_too_few_descriptors_are_said_with_a_way_out():
    with pytest.raises(ProxyUnavailable, match="raise the hard limit of open files"):
        budget(1024, listeners_limit=6000, concurrency=2)


def test_a_state_directory_whose_path_is_too_long_for_sockets_is_said_with_a_way_out():
    files = Files(Path("/") / ("x" * 100))

    with pytest.raises(ProxyUnavailable, match="give a shorter --state"):
        bootstrap(files, Budget(4096, 1024, 768))


def test_envoy_listens_on_sockets_in_the_file_system_only():
    text = bootstrap(Files(Path("/state")), Budget(4096, 1024, 768))

    assert "socket_address" not in text
    assert json.loads(text)["admin"]["address"] == {"pipe": {"path": "/state/admin.sock", "mode": 0o600}}


def test_envoy_shares_no_memory_with_another_one():
    assert "--disable-hot-restart" in command(Path("/bin/envoy"), Files(Path("/state")), concurrency=2)
