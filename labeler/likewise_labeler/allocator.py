"""What the server frees goes back to the system: it runs for days, and pictures come and go."""

import ctypes
import sys

_M_ARENA_MAX, _M_MMAP_THRESHOLD = -8, -3
_ARENAS, _OWN_PAGES = 2, 128 * 1024


def give_back_what_is_freed() -> None:
    """Tell glibc's allocator not to keep memory; elsewhere do nothing.

    By default each thread fills a heap of its own, and blocks as large as a picture are cut from
    heaps once one such has been freed: what is free between blocks in use stays with the process.
    Here two heaps serve all threads, and whatever is larger than 128 KiB has pages of its own.
    Unlike the variables ``MALLOC_ARENA_MAX`` and ``MALLOC_MMAP_THRESHOLD_`` this is not passed on
    to trainings started from the app, which it would slow down.

    Source: mallopt(3).
    """
    if sys.platform != "linux":
        return
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)  # other C libraries have none
    if set_option is not None:
        set_option(_M_ARENA_MAX, _ARENAS)
        set_option(_M_MMAP_THRESHOLD, _OWN_PAGES)
