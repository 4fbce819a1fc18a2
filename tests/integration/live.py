"""A real server on a socket, for clients that nobody here wrote: one process for all of them.

It carries no packets (the driver is `memory`), everything else is what users run. Tests share it, so each makes what
it needs and looks at nothing else.
"""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from landbridge import lab as labs

LANDBRIDGE = str(Path(sys.executable).with_name("landbridge"))
LAB = Path(__file__).parent.parent / "labs" / "two-vpcs.yaml"
_START_SECONDS = 30
_SETTINGS = "quota_endpoint_services = 1000\nquota_endpoints = 1000\n"


@dataclass(frozen=True)
class Server:
    """Where the server is, and what is in its lab."""

    url: str
    state: Path
    ids: Any
    """As `landbridge lab show --json` prints it."""
    log: Path

    def project_id(self, project: str) -> str:
        return self.ids["projects"][project]["project_id"]

    def domain_id(self, project: str) -> str:
        return self.ids["projects"][project]["domain_id"]

    def port_id(self, host: str) -> str:
        return self.ids["hosts"][host]["port_id"]

    def vpc_id(self, vpc: str) -> str:
        return self.ids["vpcs"][vpc]["vpc_id"]

    def subnet_id(self, subnet: str) -> str:
        return self.ids["subnets"][subnet]["subnet_id"]

    def openstack_variables(self, project: str) -> dict[str, str]:
        """Return what `openstack` and `landbridge` read from the environment to be a project's admin."""
        return {
            "PATH": os.environ["PATH"],
            "OS_AUTH_URL": f"{self.url}/v3",
            "OS_USERNAME": f"{project}-admin",
            "OS_PASSWORD": f"{project}-password",
            "OS_PROJECT_NAME": project,
            "OS_USER_DOMAIN_NAME": project,
            "OS_PROJECT_DOMAIN_NAME": project,
            "OS_IDENTITY_API_VERSION": "3",
        }


@contextmanager
def live_server(directory: Path, *options: str, settings: str = _SETTINGS, lab: Path | None = LAB) -> Iterator[Server]:
    """Run a server from a directory of its own until the block ends; without a lab it has no users of its own."""
    config, log, state = directory / "landbridge.toml", directory / "serve.log", directory / "state"
    config.write_text(settings)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [LANDBRIDGE, "serve", "--driver", "memory", "--state", str(state)]
    command += ["--lab", str(lab)] if lab is not None else []
    command += ["--listen", f"127.0.0.1:{port}", "--config", str(config), *options]
    with log.open("ab") as sink:
        process = subprocess.Popen(command, stdout=sink, stderr=sink, env={"PATH": os.environ["PATH"]})
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_for(url, process, log)
        yield Server(url, state, labs.show(labs.read_lab(lab)) if lab is not None else {}, log)
    finally:
        process.terminate()
        try:
            process.wait(10)
        finally:
            process.kill()
            process.wait(10)
    assert process.returncode == 0, log.read_text()


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            with urllib.request.urlopen(f"{url}/", timeout=5) as answer:
                assert json.load(answer)["versions"]
            return
        except OSError:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.02)
