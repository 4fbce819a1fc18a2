"""Carry listeners: one Envoy process and the feed that tells it what to listen for.

Nothing is started, and Envoy's messages are not even imported, before there is something to carry.
"""

from collections.abc import Callable, Collection
from pathlib import Path

from landbridge.drivers.envoy import admin
from landbridge.drivers.envoy.listeners import Feed, ProxyListener, ProxyUnavailable
from landbridge.drivers.envoy.process import EnvoyProcess, ProcessState


class Proxy:
    """The proxy of one state directory. Calls block; all but `listeners` belong to the server that feeds it.

    `open_feed` gets the path of the socket where Envoy looks for us.
    """

    def __init__(self, process: EnvoyProcess, open_feed: Callable[[Path], Feed]) -> None:
        self._process = process
        self._open_feed = open_feed
        self._feed: Feed | None = None

    @property
    def state(self) -> ProcessState:
        """How its process is at this moment."""
        return self._process.state

    def listeners(self) -> list[ProxyListener]:
        """Return what is really carried; changes nothing, and may be asked beside the server that feeds it.

        Nothing, when the process cannot be asked: what is wanted is then put in again, or fails with a reason.
        """
        if not self._process.is_alive():
            return []
        try:
            return admin.active_listeners(self._process.files.admin_socket)
        except OSError:
            return []

    def resume(self) -> None:
        """Take up the process that a former server has left, if there is one. Raises ProxyUnavailable."""
        if self._process.adopt():
            self._opened_feed()

    def change(self, removals: Collection[str], additions: Collection[ProxyListener]) -> dict[str, str]:
        """Take listeners away by name and add or change others; return why some failed, by name."""
        if not additions and not self._process.is_alive():
            if self._feed is not None:
                self._feed.forget(removals)
            return {}
        try:
            feed = self._opened_feed()
            self._process.ensure()
        except ProxyUnavailable as error:
            return dict.fromkeys((*removals, *(listener.name for listener in additions)), str(error))
        return feed.change(removals, additions)

    def stop(self) -> None:
        """End it and all that it carries."""
        self._close_feed()
        self._process.stop()

    def close(self) -> None:
        """Let go of it; it goes on with what it carries."""
        self._close_feed()
        self._process.close()

    def _opened_feed(self) -> Feed:
        if self._feed is None:
            directory = self._process.files.directory
            try:
                directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            except OSError as error:
                raise ProxyUnavailable(f"cannot make {directory}: {error.strerror}") from error
            self._feed = self._open_feed(self._process.files.control_socket)
        return self._feed

    def _close_feed(self) -> None:
        if self._feed is not None:
            self._feed.close()
            self._feed = None
