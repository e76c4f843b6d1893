"""A consumer's memory that is freed and needed again does not go back to the kernel meanwhile."""

import subprocess
import sys

import pytest

CHURN = """
import resource
from ingest.runtime.allocator import keep_freed_memory

kept = keep_freed_memory() if {keep} else False
for _ in range(3):
    held = [bytes(4_000_000) for _ in range(8)]
    del held
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(50):
    held = [bytes(4_000_000) for _ in range(8)]
    del held
faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
import pyarrow as pa
import pyarrow.parquet as pq

pq.write_table(pa.table(dict(number=range(1_000_000))), "/dev/null")
print(kept, pa.default_memory_pool().backend_name, pa.mimalloc_memory_pool().max_memory(), faults)
"""


def churned(*, keep: bool) -> tuple[bool, str, int, int]:
    """In a process of its own: whether memory is kept, Arrow's pool, what else writing Parquet took from another pool,
    page faults of freeing and allocating 1.6 GB.
    """
    done = subprocess.run([sys.executable, "-c", CHURN.format(keep=keep)], capture_output=True, text=True, check=True)
    kept, pool, elsewhere, faults = done.stdout.split()
    return kept == "True", pool, int(elsewhere), int(faults)


def test_buffers_come_from_memory_that_the_process_has() -> None:
    kept, pool, elsewhere, faults = churned(keep=True)
    if not kept:
        pytest.skip("the C library is not glibc")
    assert (pool, elsewhere) == ("system", 0)
    assert faults * 10 < churned(keep=False)[3]
