"""malloc settings of a consumer process: glibc keeps freed memory instead of returning it to the kernel.

A consumer fills and frees buffers of megabytes many times a second. By default an allocator returns such memory to the
kernel, which clears every page before it hands it out again: a fifth of a busy consumer's time (docs/performance.md).
"""

import ctypes
import os

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
"""Parameters of mallopt(3)."""
_KEPT_BYTES = 256 * 1024 * 1024
_FROM_THE_KERNEL_BYTES = 32 * 1024 * 1024
"""Allocations below this size stay in the heap. Larger than a consumer's buffers; the most that every glibc accepts."""


def keep_freed_memory() -> bool:
    """Have glibc keep up to 256 MiB of freed memory at the heap's end, and Arrow use glibc's allocator.

    For processes that only consume. Call it before pyarrow is imported: its Parquet writer uses the allocator that the
    environment names at that moment, here and in child processes. Returns False, and changes nothing, where the C
    library is not glibc.
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
