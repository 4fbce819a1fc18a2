"""Carry hints between the processes of one state directory: datagrams between unix sockets in it.

Each process has a socket under its process id. What a killed process leaves behind is removed by whoever finds that
nobody listens there.
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable
from pathlib import Path

from landbridge.coordination.hints import Hint, read, written
from landbridge.coordination.joining import Joiner

_DIRECTORY = "hints"
_LONGEST_BYTES = 8192


class DatagramHints:
    """This process's socket (`coordination.hints.Hints`)."""

    def __init__(self, state: Path, on_hint: Callable[[Hint], None]) -> None:
        """Listen; `on_hint` is called in the running event loop."""
        self._directory = state / _DIRECTORY
        self._directory.mkdir(mode=0o700, exist_ok=True)
        if os.geteuid() == 0:
            owner = state.stat()
            os.chown(self._directory, owner.st_uid, owner.st_gid)
        self._handle = os.open(self._directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self._own = self._directory / f"{os.getpid()}.{os.urandom(4).hex()}"
        self._on_hint = on_hint
        self._joiner = Joiner(self._deliver)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        self._socket.bind(self._address(self._own.name))
        # The directory says who may: an agent that is root, and an API process of the directory's owner.
        self._own.chmod(0o666)
        asyncio.get_running_loop().add_reader(self._socket, self._receive)

    def send(self, hint: Hint) -> None:
        """Tell all other processes, soon."""
        self._joiner.add(hint)

    def close(self) -> None:
        """Listen no more."""
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()
        self._own.unlink(missing_ok=True)
        os.close(self._handle)

    def _address(self, name: str) -> str:
        """Return where a socket of the directory is, in the 108 bytes that an address has."""
        return f"/proc/self/fd/{self._handle}/{name}"

    def _deliver(self, hint: Hint) -> None:
        if self._socket.fileno() < 0:
            return
        texts = [text.encode() for text in written(hint)]
        for other in self._directory.iterdir():
            if other == self._own:
                continue
            try:
                for text in texts:
                    self._socket.sendto(text, self._address(other.name))
            except ConnectionRefusedError:
                with contextlib.suppress(OSError):
                    other.unlink(missing_ok=True)
            except OSError:
                continue  # Gone meanwhile, or its queue is full: then it has enough to wake up for.

    def _receive(self) -> None:
        while True:
            try:
                text = self._socket.recv(_LONGEST_BYTES)
            except OSError:
                return
            hint = read(text.decode("utf-8", "replace"))
            if hint is not None:
                self._on_hint(hint)
