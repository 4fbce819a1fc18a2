"""The systemd units: what they keep alive, what they shut in, and that systemd understands them."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

UNITS = sorted((Path(__file__).parents[2] / "packaging" / "systemd").glob("*.service"))
API = next(unit for unit in UNITS if unit.stem == "landbridge-api")
OWNERS = [unit for unit in UNITS if unit != API]
"""Units of processes that own a data plane."""

GIVES_A_MOUNT_NAMESPACE = re.compile(
    r"^(Protect(System|Home|Proc|Control|Kernel)\w*|ProcSubset|Private(Tmp|Devices|Mounts|IPC|Users)|\w+Paths"
    r"|Root\w+|Mount\w+|Bind\w*Paths|TemporaryFileSystem|DynamicUser|ExtensionImages)=",
    re.MULTILINE,
)
_EXPOSURE = re.compile(r"Overall exposure level for \S+: ([\d.]+)")

needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not on this machine")


def _id(argument: Path | float) -> str:
    return argument.stem if isinstance(argument, Path) else str(argument)


def checkable(unit: Path, directory: Path) -> Path:
    """Return a copy whose program is on this machine; verify refuses programs that are not there."""
    copy = directory / unit.name
    copy.write_text(unit.read_text().replace("/usr/local/bin/landbridge", "/bin/true"))
    return copy


def test_there_is_a_unit_for_each_process():
    assert [unit.stem for unit in UNITS] == ["landbridge-agent", "landbridge-api", "landbridge"]
    commands = [re.findall(r"^ExecStart=\S+ (\S+) (--\S+)", unit.read_text(), re.MULTILINE) for unit in UNITS]
    assert commands == [[("agent", "--config")], [("api", "--config")], [("serve", "--config")]]


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_stopping_a_unit_ends_its_own_process_alone(unit: Path):
    assert re.findall(r"^KillMode=(.*)$", unit.read_text(), re.MULTILINE) == ["process"]


@pytest.mark.parametrize("unit", OWNERS, ids=lambda unit: unit.stem)
def test_who_owns_network_namespaces_has_the_hosts_mounts(unit: Path):
    """In a mount namespace of its own, its network namespaces would end with the process."""
    assert GIVES_A_MOUNT_NAMESPACE.findall(unit.read_text()) == []


@needs_systemd
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_systemd_understands_each_line(unit: Path, tmp_path: Path):
    verified = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(checkable(unit, tmp_path))],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    complaints = [line for line in verified.stderr.splitlines() if unit.name in line]
    assert complaints == []
    assert verified.returncode == 0


@needs_systemd
@pytest.mark.parametrize(("unit", "most"), [(API, 2.0), *((unit, 5.5) for unit in OWNERS)], ids=_id)
def test_a_unit_leaves_no_more_open_than_it_must(unit: Path, most: float, tmp_path: Path):
    judged = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", str(checkable(unit, tmp_path))],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    (exposure,) = _EXPOSURE.findall(judged.stdout)
    assert float(exposure) <= most
