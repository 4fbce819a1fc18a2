"""Send one kind of request to an HTTP server for a while, and say how many were answered and how long each took.

The generator is compiled: wrk, with one thread and connections that are kept alive. Answers are counted only if all
of a run were successes: a refusal is quicker than work.
"""

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.benchmarks.failures import BenchmarkBroken

SCRIPT = Path(__file__).resolve().parents[2] / "bench" / "load" / "api.lua"
_EXTRA_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Request:
    """A kind of request. `{number}` and `{line}` in path and body differ from request to request."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: str = ""

    def as_order(self) -> str:
        """Return the text that the generator reads."""
        headers = [f"{name}: {value}" for name, value in self.headers.items()]
        return "\n".join([self.method, self.path, *headers, "", self.body])


@dataclass(frozen=True, slots=True)
class Answered:
    """How one run went."""

    request_count: int
    per_second: float
    p50_ms: float
    p99_ms: float


@dataclass
class Target:
    """A server, and what was sent to it so far."""

    name: str
    port: int
    directory: Path
    """For the generator's files."""
    requests: Mapping[str, Request]
    """By what they do."""
    lines: Mapping[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])
    """What `{line}` stands for, where a kind of request needs it; each line is sent once."""
    next_number: int = 1000
    _used_lines: int = 0

    def run(self, what: str, clients: int, seconds: float) -> Answered:
        """Send one kind of request from so many clients at once.

        Raises:
            BenchmarkBroken: one was refused or lost, or there were too few lines.
        """
        order = self.directory / "order"
        order.write_text(self.requests[what].as_order())
        command = ["wrk", "-t1", f"-c{clients}", f"-d{max(1, round(seconds))}s", "-s", str(SCRIPT)]
        command += [f"http://127.0.0.1:{self.port}", "--", str(order), str(self.next_number)]
        if what in self.lines:
            lines = self.directory / "lines"
            lines.write_text("\n".join(self.lines[what][self._used_lines :]))
            command.append(str(lines))
        try:
            done = subprocess.run(
                command, check=False, capture_output=True, text=True, timeout=seconds + _EXTRA_SECONDS
            )
        except FileNotFoundError as missing:
            raise BenchmarkBroken("there is no wrk: run scripts/bench-packages as root") from missing
        if done.returncode:
            raise BenchmarkBroken(f"wrk could not send to {self.name}: {done.stderr or done.stdout}")
        found = json.loads(done.stdout.strip().splitlines()[-1])
        answered = Answered(found["requests"], found["requests"] / found["seconds"], found["p50_ms"], found["p99_ms"])
        # What was sent and not answered at the end has its number, too.
        sent = found["requests"] + clients
        self.next_number += sent
        if found["refused"] or found["lost"] or not found["requests"]:
            raise BenchmarkBroken(f"{self.name}, {what} from {clients} clients: {found}")
        if what in self.lines:
            self._used_lines += sent
            if self._used_lines > len(self.lines[what]):
                raise BenchmarkBroken(f"{self.name}, {what}: {len(self.lines[what])} lines were too few")
        return answered
