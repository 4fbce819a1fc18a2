"""Ask the kernel about the connections that one network namespace tracks.

One plain blocking socket per namespace, opened inside it and usable from any thread afterwards, by one at a time. A
dump never takes longer than it is told: what the kernel has not said by then is left out, and that is said.
"""

import errno
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from landbridge.dataplane.flows import Connection
from landbridge.drivers.linux.conntrack_messages import (
    DONE,
    ERROR,
    GET_STATS,
    NEW,
    ConnectionReader,
    Message,
    count_in,
    count_request,
    delete_one_request,
    delete_request,
    dump_request,
    error_in,
    messages,
)

NETLINK_NETFILTER = 12
_RECEIVE_BYTES = 1 << 18
_PATIENCE_SECONDS = 5.0
"""How long the kernel may take for one answer; it takes microseconds."""


@dataclass(frozen=True, slots=True)
class Tracked:
    """What a dump found."""

    connections: list[Connection]
    is_complete: bool
    """False: there was no time for all of them."""


@dataclass(frozen=True, slots=True)
class OpenCounts:
    """How many connections are open, by mark; those without a mark are nobody's."""

    by_mark: Mapping[int, int]
    is_complete: bool


class Conntrack:
    """A socket that stays in the namespace in which it was opened."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._reader = ConnectionReader()
        self._sequence = 0
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_NETFILTER)
        self._socket.bind((0, 0))

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    @property
    def is_spent(self) -> bool:
        """Whether it can answer no more: after a dump that took too long another one must be opened."""
        return self._socket.fileno() < 0

    def count(self) -> int:
        """Return how many connections are tracked here, open or not. Costs nothing."""
        self._send(count_request)
        for data, message in self._answers(self._monotonic() + _PATIENCE_SECONDS):
            if message.kind == GET_STATS:
                return count_in(data, message)
            _raise(data, message)
        raise TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))

    def connections(self, wanted: Callable[[int], bool], deadline: float, mark: int | None = None) -> Tracked:
        """Return the connections whose marks are wanted, read until `deadline` of the monotonic clock at most.

        With `mark` the kernel itself leaves out all others. Raises OSError.
        """
        read, found = self._reader, list[Connection]()

        def take(data: bytes, message: Message) -> None:
            if mark is not None or wanted(read.mark(data, message)):
                found.append(read.connection(data, message))

        return Tracked(found, self._dump(take, deadline, mark))

    def open_counts(self, deadline: float) -> OpenCounts:
        """Count the open connections by mark, until `deadline` of the monotonic clock at most. Raises OSError."""
        self._send(lambda sequence: dump_request(sequence, None))
        counts: dict[int, int] = {}
        for data in self._received(deadline):
            last = self._reader.count_open(data, self._sequence, counts)
            if last is not None and last.kind == DONE:
                return OpenCounts(counts, is_complete=True)
            if last is not None:
                _raise(data, last)
        self.close()
        return OpenCounts(counts, is_complete=False)

    def forget(self, mark: int) -> None:
        """Make the kernel forget all connections with a mark; whoever waits for their ends hears of them."""
        self._delete(lambda sequence: delete_request(sequence, mark))

    def forget_one(self, connection: Connection) -> None:
        """Make the kernel forget this connection, and no later one with the same ends."""
        self._delete(lambda sequence: delete_one_request(sequence, connection))

    def _dump(self, take: Callable[[bytes, Message], None], deadline: float, mark: int | None) -> bool:
        self._send(lambda sequence: dump_request(sequence, mark))
        for data, message in self._answers(deadline):
            if message.kind == NEW:
                take(data, message)
            elif message.kind == DONE:
                return True
            else:
                _raise(data, message)
        # The kernel has more to say, and takes no other question before it has.
        self.close()
        return False

    def _delete(self, request: Callable[[int], bytes]) -> None:
        self._send(request)
        for data, message in self._answers(self._monotonic() + _PATIENCE_SECONDS):
            if message.kind == ERROR:
                if error_in(data, message) != errno.ENOENT:
                    _raise(data, message)
                return

    def _send(self, request: Callable[[int], bytes]) -> None:
        self._sequence += 1
        self._socket.send(request(self._sequence))

    def _answers(self, deadline: float) -> Iterator[tuple[bytes, Message]]:
        for data in self._received(deadline):
            for message in messages(data):
                # Answers to a question that an exception cut short are nobody's any more.
                if message.sequence == self._sequence:
                    yield data, message

    def _received(self, deadline: float) -> Iterator[bytes]:
        while (left := deadline - self._monotonic()) > 0:
            self._socket.settimeout(left)
            try:
                yield self._socket.recv(_RECEIVE_BYTES)
            except TimeoutError:
                return


def _raise(data: bytes, message: Message) -> None:
    number = error_in(data, message) if message.kind == ERROR else 0
    if number:
        raise OSError(number, os.strerror(number))
