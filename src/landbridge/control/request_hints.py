"""Remember for a while which request asked for which change, so that what a round says can be led back to it.

Hints within one process: losing one costs a word in the log. The audit log knows for ever, and across processes.
"""

import threading
from collections import OrderedDict
from collections.abc import Collection, Iterable

_MOST = 10_000


class RequestHints:
    """The last request behind each of the things that were changed lately. Any thread may use it."""

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._requests: OrderedDict[str, str] = OrderedDict()

    def changed(self, request_id: str, ids: Collection[str]) -> None:
        """Note that a request changes these things; without an id it was a command, of which nothing is noted."""
        if not request_id:
            return
        with self._lock:
            for id_ in ids:
                self._requests[id_] = request_id
                self._requests.move_to_end(id_)
            while len(self._requests) > self._most:
                self._requests.popitem(last=False)

    def request_of(self, id_: str) -> str | None:
        """Return the request that changed a thing last, if it is remembered."""
        return self._requests.get(id_)

    def requests_of(self, ids: Iterable[str]) -> list[str]:
        """Return the requests behind these things, each once."""
        found = (self._requests.get(id_) for id_ in ids)
        return list(dict.fromkeys(request_id for request_id in found if request_id is not None))
