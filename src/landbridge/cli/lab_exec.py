"""Become a command on a host of the running lab (`landbridge lab exec`).

The process enters the host's namespaces itself and is replaced by the command: standard streams, signals and exit
status are the command's own. No server has to live. Imports next to nothing, because people put this into loops.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from landbridge.drivers.linux import user_namespace
from landbridge.drivers.linux.namespaces import NoSuchNamespace
from landbridge.state import StateDirectory

NO_SUCH_HOST = 2
CANNOT_RUN = 126
NO_SUCH_COMMAND = 127


def lab_exec(state: Path, host: str, command: Sequence[str]) -> NoReturn:
    """Run `command` on `host`; does not return.

    Exit status 2: no such host, or no lab runs from this state. 126: the command cannot be run. 127: there is none.
    """
    record = StateDirectory(state).read_lab()
    if record is None:
        _end(NO_SUCH_HOST, f"no lab runs from {state}: give the --state of its server")
    hosts = record[1]
    if host not in hosts:
        _end(NO_SUCH_HOST, f"there is no host {host}: there are {', '.join(sorted(hosts))}")
    try:
        user_namespace.enter_and_exec(user_namespace.join(state), hosts[host], command)
    except (user_namespace.NoHolder, NoSuchNamespace) as error:
        _end(NO_SUCH_HOST, f"the lab's networks are gone ({error}): start the server again")
    except OSError as error:
        # A directory of PATH that may not be read hides that the command is in none of the others.
        if not _exists(command[0]):
            _end(NO_SUCH_COMMAND, f"there is no command {command[0]}")
        _end(CANNOT_RUN, f"cannot run {command[0]}: {error.strerror}")


def _exists(command: str) -> bool:
    if "/" in command:
        return Path(command).exists()
    return any(os.access(Path(directory, command), os.F_OK) for directory in os.get_exec_path())


def _end(status: int, message: str) -> NoReturn:
    sys.stderr.write(f"error: {message}\n")
    sys.stderr.flush()
    os._exit(status)
