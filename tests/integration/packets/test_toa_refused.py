"""Where the kernel takes no programs, the reason is known before anything is promised."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.ordinary_user import as_an_ordinary_user

ASK = "from landbridge.drivers.linux.{module} import {engine}; print({engine}.supported())"


@pytest.mark.parametrize(("module", "engine"), [("options", "OptionEngine"), ("headers", "HeaderEngine")])
def test_without_root_the_reason_says_so(tmp_path: Path, module: str, engine: str):
    ask = ASK.format(module=module, engine=engine)
    command = [*as_an_ordinary_user(tmp_path), "unshare", "--user", "--map-root-user", sys.executable, "-c", ask]

    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout

    assert said.startswith("the kernel lets only root of the host load packet programs")
