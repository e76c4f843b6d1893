"""What waits for live state is bounded in rows, bytes and batches, and what does not fit is noted, never forgotten."""

import asyncio
from typing import Any

import pyarrow as pa
import pytest

from contracts.record import LANDING_SCHEMA
from ingest.live import LiveReport, MemoryLive
from ingest.runtime.metrics import Metrics
from ingest.runtime.retry import Retry
from ingest.worker.live import writer
from ingest.worker.live.progress import LiveProgress
from ingest.worker.live.writer import LiveWriter
from tests.builders.ingest import ARRIVAL_MS, landing_rows
from tests.builders.virtual_time import VirtualClock, run_virtually

MIB = 1024 * 1024
KEPT_POOLS: list[pa.MemoryPool] = []
"""Arrays free their memory in the pool that they came from, however late."""
NO_ROWS = pa.RecordBatch.from_pylist([], LANDING_SCHEMA)


class Slow(MemoryLive):
    """Remembers the size of each write, and holds it until told to go on."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []
        self.go_on = asyncio.Event()

    async def write(self, rows: pa.RecordBatch) -> LiveReport:
        await self.go_on.wait()
        self.sizes.append(rows.nbytes)
        return LiveReport()


def _writer(live: MemoryLive) -> LiveWriter:
    clock, metrics = VirtualClock(), Metrics()
    made = LiveWriter(live, clock=clock, metrics=metrics, retry=Retry(clock, metrics))
    made.begin("s", "")
    return made


def _rows(first: int, count: int, *, devices: int = 1_000_000, size: int = 0) -> pa.RecordBatch:
    records: list[dict[str, Any]] = [
        {"device_id": f"d{number % devices}", "ts_ms": ARRIVAL_MS + number, "arrival_ms": ARRIVAL_MS + number,
         "seq": number, "attributes": [("note", "x" * size)]}
        for number in range(first, first + count)
    ]  # fmt: skip
    return landing_rows(records)


def test_rows_of_many_bytes_wait_only_up_to_the_bound_and_the_rest_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "MOST_PENDING_BYTES", 4 * MIB)

    async def story() -> None:
        live = _writer(MemoryLive())
        for number in range(40):
            live.offer(_rows(number * 20, 20, size=20_000), "s", str(number + 1))
            held = sum(item.rows.nbytes for item in live._pending)
            assert held <= 4 * MIB
        assert 0 < live.pending_rows < 800
        assert live.progress.has_gap("s")
        assert not live.complete

    run_virtually(story())


def test_the_bound_counts_every_byte_that_waits_is_written_or_is_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measured by Arrow's allocator, at its peak, while the store is away."""
    monkeypatch.setattr(writer, "MOST_PENDING_BYTES", 32 * MIB)
    monkeypatch.setattr(writer, "MOST_BYTES_A_WRITE", 4 * MIB)
    before = pa.default_memory_pool()
    pool = pa.proxy_memory_pool(before)
    KEPT_POOLS.append(pool)

    async def story() -> None:
        live = _writer(Slow())
        running = asyncio.create_task(live.run())
        for number in range(200):
            live.offer(_rows(number * 100, 100, size=10_000), "s", str(number + 1))
            await asyncio.sleep(0)
        running.cancel()
        await asyncio.wait([running])

    pa.set_memory_pool(pool)
    try:
        run_virtually(story())
    finally:
        pa.set_memory_pool(before)
    made = 2 * _rows(0, 100, size=10_000).nbytes
    assert pool.max_memory() <= 32 * MIB + made


def test_a_write_is_of_few_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "MOST_BYTES_A_WRITE", MIB)

    async def story() -> None:
        store = Slow()
        live = _writer(store)
        for number in range(10):
            live.offer(_rows(number * 600, 600, size=1_000), "s", str(number + 1))
        running = asyncio.create_task(live.run())
        store.go_on.set()
        await live.drained()
        assert max(store.sizes) <= MIB
        assert len(store.sizes) == 10
        assert live.progress.written("s") == "10"
        running.cancel()
        await asyncio.wait([running])

    run_virtually(story())


def test_thousands_of_single_rows_wait_as_few_batches() -> None:
    async def story() -> None:
        live, whole = _writer(MemoryLive()), _rows(0, 3_000)
        for number in range(3_000):
            live.offer(whole.slice(number, 1), "s", str(number + 1))
        assert live.pending_rows == 3_000
        assert len(live._pending) < 20
        assert pa.concat_batches([item.rows for item in live._pending]).equals(whole)

    run_virtually(story())


def test_beyond_the_bound_the_newest_of_each_device_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "MOST_PENDING_ROWS", 1_000)

    async def story() -> None:
        store = MemoryLive()
        live = _writer(store)
        for number in range(5):
            live.offer(_rows(number * 400, 400, devices=10), "s", str(number + 1))
        assert live.pending_rows <= 1_000
        running = asyncio.create_task(live.run())
        await live.drained()
        for device in range(10):
            assert f"{1_990 + device:056d}"[-4:].encode() in (await store.latest(f"d{device}") or b"")
        assert live.progress.written("s") == "", "points were dropped"
        running.cancel()
        await asyncio.wait([running])

    run_virtually(story())


def test_a_shard_that_comes_again_owes_nothing_to_what_its_earlier_lease_left_waiting() -> None:
    async def story() -> None:
        live = _writer(MemoryLive())
        live.offer(_rows(0, 1), "s", "900")
        live.begin("s", "100", "500")
        running = asyncio.create_task(live.run())
        await live.drained()
        live.progress.filled("s", "500")
        assert live.progress.written("s") == "500"
        running.cancel()
        await asyncio.wait([running])

    run_virtually(story())


def test_how_far_a_shard_is_never_passes_what_was_missed() -> None:
    progress = LiveProgress()
    progress.begin("s", "10", None)
    progress.wrote({"s": "20", "gone": "7"})
    progress.dropped({"s": "40", "gone": "9"})
    progress.wrote({"s": "50"})
    assert (progress.written("s"), progress.has_gap("s"), progress.complete) == ("20", True, False)
    progress.filled("s", "30")
    assert progress.written("s") == "30"
    progress.filled("s", "45")
    assert (progress.written("s"), progress.has_gap("s"), progress.complete) == ("50", False, True)
    progress.end("s")
    assert progress.written("s") == ""
