"""The same suite passes without root: in a user namespace, as a user without any privilege."""

import pytest

from conformance.rootless_run import RootlessRun

pytestmark = pytest.mark.packets


def test_every_rule_holds_without_root_too(rootless_run: RootlessRun, linux_test_names: set[str]):
    code, output = rootless_run.wait()

    assert code == 0, output
    outcomes = rootless_run.outcomes()
    assert set(outcomes.values()) == {"passed"}, output
    assert set(outcomes) == linux_test_names
