"""A real Keystone in a process of its own: `python -P tests/keystone_server.py DIRECTORY`.

Keystone's own `keystone-manage` commands make its database, waitress serves it. Importing Keystone takes four seconds,
so this process does it once and forks for everything else: each command has a fresh Keystone in it, and stopping and
starting the server takes a moment. It ends, and its server with it, when its stdin is closed.
Words on stdin: `start`, `stop`; each is answered by a line. The first line says the port.
"""

import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import waitress
from keystone.cmd import cli
from keystone.server import wsgi

CONFIGURATION = """\
[DEFAULT]
log_file = {directory}/keystone.log
[database]
connection = sqlite:///{directory}/keystone.sqlite3
[fernet_tokens]
key_repository = {directory}/fernet-keys
[fernet_receipts]
# By default in /etc: nothing of a test goes there.
key_repository = {directory}/fernet-keys
[credential]
key_repository = {directory}/credential-keys
[token]
# Tests share tokens, and may take more than the usual hour.
expiration = 86400
[cache]
backend = oslo_cache.dict
[identity]
# Passwords of tests are worth nothing: the cheapest hash.
password_hash_rounds = 4
"""


def forked(work: Callable[[], None]) -> int:
    """Run some work in a child process and return its id."""
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        work()
        status = 0
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def manage(configuration: Path, *words: str) -> int:
    """Start a command of keystone-manage and return its process."""
    return forked(lambda: cli.main(["keystone-manage", "--config-file", str(configuration), *words]))


def wait_for(*processes: int) -> None:
    """Wait until commands are done, and insist that they went well."""
    for process in processes:
        _, status = os.waitpid(process, 0)
        if status:
            raise SystemExit(f"a command of keystone-manage failed with status {os.waitstatus_to_exitcode(status)}")


def prepare(configuration: Path, url: str, password: str) -> None:
    """Make keys and a database with the first domain, user, roles and catalogue."""
    ours = ["--keystone-user", str(os.getuid()), "--keystone-group", str(os.getgid())]
    wait_for(
        manage(configuration, "db_sync"),
        manage(configuration, "fernet_setup", *ours),
        manage(configuration, "credential_setup", *ours),
    )
    words = ["bootstrap", "--bootstrap-password", password, "--bootstrap-region-id", "lab-1"]
    for interface in ("public", "internal", "admin"):
        words += [f"--bootstrap-{interface}-url", url]
    wait_for(manage(configuration, *words))


def bound_socket(port: int = 0) -> socket.socket:
    """Return a socket of this port that does not listen: it keeps others off and refuses connections."""
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    bound.bind(("127.0.0.1", port))
    return bound


def main(directory: Path) -> None:
    """Serve until nobody listens any more."""
    configuration = directory / "keystone.conf"
    configuration.write_text(CONFIGURATION.format(directory=directory))
    for name in ("fernet-keys", "credential-keys"):
        (directory / name).mkdir(mode=0o700)
    kept = bound_socket()
    port = kept.getsockname()[1]
    prepare(configuration, f"http://127.0.0.1:{port}/v3", (directory / "admin-password").read_text())
    print(port, flush=True)

    def serve() -> None:
        listener = bound_socket(port)
        os.environ["OS_KEYSTONE_CONFIG_FILES"] = str(configuration)
        # Keystone reads the command line, as if it were its own.
        del sys.argv[1:]
        application = wsgi.initialize_public_application()
        listener.listen(128)
        print("started", flush=True)
        waitress.serve(application, sockets=[listener], threads=4, _quiet=True)

    server: int | None = None
    try:
        for line in sys.stdin:
            if line == "start\n" and server is None:
                server = forked(serve)
            elif line == "stop\n" and server is not None:
                os.kill(server, signal.SIGKILL)
                os.waitpid(server, 0)
                server = None
                print("stopped", flush=True)
    finally:
        if server is not None:
            os.kill(server, signal.SIGKILL)
            os.waitpid(server, 0)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
