"""Keep processes that answer one line with one line, on hosts and in network namespaces; end them whatever happens."""

import contextlib
import json
import select
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.benchmarks.failures import BenchmarkBroken

LANDBRIDGE = str(Path(sys.executable).with_name("landbridge"))
INSIDE = Path(__file__).with_name("inside.py")
ON_HOST = Path(__file__).parent / "on_host"
PYTHON_ON_HOST = [sys.executable, "-I", "-S"]
START_SECONDS = 300.0
ORDER_SECONDS = 60.0


def inside(state: Path, order: str, *words: str) -> list[str]:
    """Return the command line of an order of `inside.py` for the namespaces of a state directory."""
    return [sys.executable, str(INSIDE), order, str(state), *words]


def run_inside(state: Path, order: str, *words: str) -> list[str]:
    """Carry such an order out and return the lines that it printed."""
    command = inside(state, order, *words)
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=START_SECONDS)
    if done.returncode:
        raise BenchmarkBroken(f"{order} {' '.join(words)} failed: {done.stderr.strip()[-2000:]}")
    return done.stdout.splitlines()


class OnHost:
    """A process on a host of the lab that answers one line with one line."""

    def __init__(self, command: list[str]) -> None:
        # In a group of its own, like all that is started here: Ctrl-C is ours to answer, and ends everything in order.
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1, process_group=0
        )
        self._hear(START_SECONDS, "ready\n")

    def start(self, order: str) -> None:
        """Give an order; the answer is taken by `result`."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{order}\n")

    def result(self) -> Any:
        """Wait for the answer to the last order."""
        return json.loads(self._hear(ORDER_SECONDS))

    def ask(self, order: str) -> Any:
        """Give an order and return the answer."""
        self.start(order)
        return self.result()

    def end(self) -> None:
        """End the process: it ends with its standard input, or is made to."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(5)
        self._process.stdout.close()

    def _hear(self, seconds: float, expected: str = "") -> str:
        output = self._process.stdout
        assert output is not None
        line = output.readline() if select.select([output], [], [], seconds)[0] else ""
        if not line or (expected and line != expected):
            raise BenchmarkBroken(f"{self._process.args} said {line!r} (exit status {self._process.poll()})")
        return line
