"""Run the suite in a child pytest as an ordinary user, who has no privilege at all.

Root becomes `nobody` for it, see `tests.ordinary_user`.
"""

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from xml.etree import ElementTree

from landbridge.drivers.linux.user_namespace import is_privileged
from tests.ordinary_user import NOBODY, as_an_ordinary_user

_PROJECT = Path(__file__).resolve().parents[2]
_SUITE = Path(__file__).resolve().parent
_LIMIT_SECONDS = 400


def may_administer() -> bool:
    """Say whether this process has CAP_SYS_ADMIN, whoever it is."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return bool(int(status["CapEff"], 16) >> 21 & 1)


class RootlessRun:
    """A child pytest under way."""

    def __init__(self) -> None:
        self._directory = TemporaryDirectory(prefix="landbridge-rootless-")
        home = Path(self._directory.name)
        self._report, self._output = home / "report.xml", (home / "output").open("w+")
        (home / "aside").mkdir()
        command = [
            *as_an_ordinary_user(home / "aside"),
            sys.executable,
            *("-m", "pytest", str(_SUITE), "-q", "-p", "no:cacheprovider", "--color=no"),
            f"--basetemp={home / 'pytest'}",
            f"--junitxml={self._report}",
        ]
        if is_privileged():
            os.chown(home, NOBODY, NOBODY)
        self._child = subprocess.Popen(
            command,
            cwd=_PROJECT,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(home),
                "TMPDIR": str(home),
                "PYTHONDONTWRITEBYTECODE": "1",
                "LANDBRIDGE_CONFORMANCE": "linux-rootless",
            },
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
        )

    def wait(self) -> tuple[int, str]:
        """Return how the child ended and what it printed."""
        try:
            code = self._child.wait(_LIMIT_SECONDS)
        except subprocess.TimeoutExpired:
            self.close()
            code = -1
        self._output.seek(0)
        return code, self._output.read()

    def outcomes(self) -> dict[str, str]:
        """Return each test's outcome by its name."""
        cases = ElementTree.parse(self._report).iter("testcase")  # noqa: S314 - our own pytest wrote it
        return {
            f"{str(case.get('classname')).replace('.', '/')}.py::{case.get('name')}": next(
                (child.tag for child in case if child.tag in {"failure", "error", "skipped"}), "passed"
            )
            for case in cases
        }

    def close(self) -> None:
        """End the child if it is still there."""
        if self._child.poll() is None:
            self._child.terminate()
            try:
                self._child.wait(5)
            except subprocess.TimeoutExpired:
                self._child.kill()
                self._child.wait()

    def clean_up(self) -> None:
        """Forget everything that the run left in files."""
        self.close()
        self._output.close()
        self._directory.cleanup()
