"""Set up how a process that runs for long uses memory."""

import contextlib
import ctypes
import gc

_M_ARENA_MAX = -8
"""From malloc.h; see mallopt(3)."""


_LIBRARY = ctypes.CDLL(None)


def settle_memory() -> None:
    """Give back what importing took, share one heap among all threads, and look for garbage among what is new.

    The GNU C library gives each busy thread a heap of its own. What a sweep takes and frees in one is of no use to the
    next one in another: with 10,000 endpoints that is a quarter of a server's memory. To be called before there are
    threads, as heaps are never joined. Other libraries are left alone.
    """
    with contextlib.suppress(AttributeError):
        _LIBRARY.mallopt(_M_ARENA_MAX, 1)
    give_back_memory()
    # What was imported stays: the collector needs not look at it again, neither now and then nor at the end.
    gc.freeze()
    gc.enable()


def give_back_memory() -> None:
    """Give what was freed back to the system; takes some milliseconds. See malloc_trim(3)."""
    with contextlib.suppress(AttributeError):
        _LIBRARY.malloc_trim(0)
