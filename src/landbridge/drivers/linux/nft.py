"""Run nftables commands in one network namespace through libnftables(3), without a process per command.

Every call of the library is made by a thread inside the namespace: the library may open its netlink socket again
at any time, and must not do that in the host's namespace. A command text is one transaction: all or nothing.

A context of the library saves four milliseconds of each command and takes 0.7 MB, so only those that were used last
are kept.
"""

import ctypes
import json
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Protocol, TypeVar, cast

from landbridge.drivers.linux.namespaces import Namespaces

MOST_CONTEXTS = 4
_LIBRARY = "libnftables.so.1"
_OUTPUT_JSON = 1 << 4
_OUTPUT_WITHOUT_ELEMENTS = 1 << 2 | 1 << 11  # "stateless" and "terse"

T = TypeVar("T")


class NftError(Exception):
    """nftables refused a command text; nothing of it was done."""


class NftUnavailable(Exception):
    """libnftables is not installed."""


@lru_cache(maxsize=1)
def _library() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL(_LIBRARY)
    except OSError as failure:
        raise NftUnavailable(
            f"{_LIBRARY} is missing: install the package nftables (Debian: apt install nftables libnftables1)"
        ) from failure
    context, text = ctypes.c_void_p, ctypes.c_char_p
    library.nft_ctx_new.argtypes, library.nft_ctx_new.restype = (ctypes.c_uint32,), context
    library.nft_ctx_free.argtypes, library.nft_ctx_free.restype = (context,), None
    library.nft_ctx_buffer_output.argtypes = (context,)
    library.nft_ctx_buffer_error.argtypes = (context,)
    library.nft_ctx_output_set_flags.argtypes = (context, ctypes.c_uint)
    library.nft_ctx_output_set_flags.restype = None
    library.nft_run_cmd_from_buffer.argtypes = (context, text)
    library.nft_ctx_get_output_buffer.argtypes = (context,)
    library.nft_ctx_get_output_buffer.restype = text
    library.nft_ctx_get_error_buffer.argtypes = (context,)
    library.nft_ctx_get_error_buffer.restype = text
    return library


class ContextUser(Protocol):
    """Who has a context, and can make another one."""

    def close(self) -> None:
        """Let go of the context, and say so by `forget`."""
        ...


class KeptContexts:
    """Those who used their contexts last; for one thread at a time."""

    def __init__(self, most: int = MOST_CONTEXTS) -> None:
        self._most = most
        self._users: dict[ContextUser, None] = {}

    def use(self, user: ContextUser) -> None:
        """Take note that somebody is about to use a context; who did so longest ago loses it, if there are too many."""
        self._users.pop(user, None)
        self._users[user] = None
        if len(self._users) > self._most:
            next(iter(self._users)).close()

    def forget(self, user: ContextUser) -> None:
        """Take note that somebody has no context any more."""
        self._users.pop(user, None)


class Nft:
    """The nftables of one namespace."""

    def __init__(
        self,
        namespaces: Namespaces,
        namespace: str,
        kept: KeptContexts | None = None,
        before_effect: Callable[[], None] = lambda: None,
    ) -> None:
        """Share contexts with others, or keep one; call `before_effect` before each transaction.

        Raises:
            NftUnavailable: the library is missing.
        """
        self._library = _library()
        self._before_effect = before_effect
        self._kept = kept or KeptContexts()
        self._inside: Callable[[Callable[[], str]], str] = lambda call: namespaces.inside(namespace, call)
        self._context: int | None = None

    def _open(self) -> int:
        context = self._library.nft_ctx_new(0)
        if not context:
            raise NftError("libnftables gave no context")
        self._library.nft_ctx_buffer_output(context)
        self._library.nft_ctx_buffer_error(context)
        return context

    def run(self, text: str) -> str:
        """Carry out a command text as one transaction and return what it printed. Raises NftError."""
        self._before_effect()
        return self._inside(lambda: self._run(text, 0))

    def list_json(self, what: str) -> list[dict[str, Any]]:
        """Return the objects that `list <what>` prints as JSON, without the header. Raises NftError."""
        text = self._inside(lambda: self._run(f"list {what}", _OUTPUT_JSON))
        objects = cast("list[dict[str, Any]]", json.loads(text)["nftables"]) if text else []
        return [item for item in objects if "metainfo" not in item]

    def list_rules(self) -> str:
        """Return all tables as `nft --stateless --terse list ruleset` prints them. Raises NftError."""
        return self._inside(lambda: self._run("list ruleset", _OUTPUT_WITHOUT_ELEMENTS))

    def close(self) -> None:
        """Free the context and its socket; the next command makes another one."""
        self._kept.forget(self)
        if self._context is not None:
            self._library.nft_ctx_free(self._context)
            self._context = None

    def _run(self, text: str, flags: int) -> str:
        self._kept.use(self)
        if self._context is None:
            self._context = self._open()
        self._library.nft_ctx_output_set_flags(self._context, flags)
        result = self._library.nft_run_cmd_from_buffer(self._context, text.encode())
        # Reading a buffer empties it, so both are read every time.
        output = cast("bytes | None", self._library.nft_ctx_get_output_buffer(self._context)) or b""
        errors = cast("bytes | None", self._library.nft_ctx_get_error_buffer(self._context)) or b""
        if result != 0:
            raise NftError(_first_error(errors.decode(errors="replace")))
        return output.decode()


def _first_error(text: str) -> str:
    for line in text.splitlines():
        _, found, message = line.partition("Error: ")
        if found:
            return message.strip()
    return text.strip() or "nftables gave no reason"
