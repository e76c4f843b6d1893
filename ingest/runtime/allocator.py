"""Memory that a consumer frees and needs again at once stays with the process.

A consumer fills and frees buffers of megabytes many times a second. By default allocators give such memory back to the
kernel, which clears every page before it comes again: a fifth of a busy consumer's time (docs/performance.md).
"""

import ctypes
import os

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
"""Parameters of mallopt(3)."""
_KEPT_BYTES = 256 * 1024 * 1024
_FROM_THE_KERNEL_BYTES = 32 * 1024 * 1024
"""Larger than what is freed and wanted again all the time; the most that every glibc accepts."""


def keep_freed_memory() -> bool:
    """Tell glibc's allocator to keep what is freed, up to 256 MiB at the heap's end, and Arrow to use that allocator.

    For processes that do nothing but consume, and best before pyarrow is imported: what its Parquet writer allocates
    comes from the allocator that the environment names at that moment, here and in child processes. False, and nothing
    changed, where the C library is not glibc.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    mallopt(_M_ARENA_MAX, 1)
    mallopt(_M_MMAP_THRESHOLD, _FROM_THE_KERNEL_BYTES)
    mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    import pyarrow as pa

    pa.set_memory_pool(pa.system_memory_pool())
    return True
