"""The view of a region's workers: from real pages and leases, with whatever of them can be had."""

import asyncio
import io
from pathlib import Path

import pytest
from rich.console import Console

from cli.top import view
from contracts.ledger import LeaseRow
from ingest.kinesis.memory import MemoryStream
from ingest.runtime.clock import SystemClock
from ingest.runtime.metrics import Metrics
from ingest.service.health import HealthServer
from ingest.service.overview import Overlook, Overview
from ingest.worker import Options, Worker
from ingest.worker.slot import Slot, announced
from tests.builders.consumer import World, fill, until
from tests.builders.kinesis_server import now_ms

NOBODY = "http://127.0.0.1:9"


async def _two_looks() -> tuple[Overview, Overview, str]:
    """Two looks at one worker that reads two shards, 500 records between them, beside a shard of a worker elsewhere."""
    world = World(shards=2)
    world.stream = MemoryStream(2, now_ms=now_ms)
    await world.leases.insert([LeaseRow(shard_id="shardId-000000000009", parents=["shardId-000000000000"])])
    row = next(row for row in await world.leases.rows())
    await world.leases.take(row, "elsewhere")
    metrics = Metrics("eu", "here")
    worker = Worker(world.parts(clock=SystemClock(), metrics=metrics), Options(), "here")
    health = HealthServer(worker.health, metrics, worker.show)
    url = await health.start(0)
    running = asyncio.create_task(worker.run())
    try:
        await until(lambda: len(worker.health().shards) == 2)
        overlook = Overlook("eu", world.leases)
        first = await overlook.look([url, NOBODY])
        fill(world.stream, 500)
        await until(lambda: worker.totals.user_records_read == 500)
        return first, await overlook.look([url, NOBODY]), url
    finally:
        worker.stop()
        await running
        await health.stop()


def test_workers_and_shards_are_told_from_leases_and_pages() -> None:
    first, second, url = asyncio.run(_two_looks())
    assert [(worker.worker, worker.shards, worker.pages) for worker in second.workers] == [
        ("elsewhere", 1, None),
        ("here", 2, url),
    ]
    assert [shard.owner for shard in second.shards] == ["here", "here", "elsewhere"]
    assert [shard.lag_ms is None for shard in second.shards] == [False, False, True]
    assert [shard.lag_records is None for shard in second.shards] == [False, False, True]
    assert [shard.waits_for_parents for shard in second.shards] == [False, False, True]
    here = second.workers[1]
    assert first.workers[1].read_per_s is None
    assert (here.read_per_s or 0) > 0
    assert here.ready is True
    assert 0 < (here.buffer_share or 0) < 1


def test_the_view_shows_every_worker_and_shard() -> None:
    _, overview, _ = asyncio.run(_two_looks())
    console = Console(record=True, width=160, file=io.StringIO())
    console.print(view(overview))
    text = console.export_text()
    assert "2 workers   3 shards" in text
    assert "records behind" in text
    assert [word for word in ("here", "elsewhere", "ready", "no pages") if word not in text] == []
    assert len([line for line in text.splitlines() if line.strip()]) == 1 + 3 + 4


def test_a_worker_of_this_machine_is_found_until_it_ends(tmp_path: Path) -> None:
    slot = Slot.claim(tmp_path, "eu")
    slot.announce("http://127.0.0.1:1234")
    other = Slot.claim(tmp_path, "eu")
    other.announce("http://127.0.0.1:1235")
    assert announced(tmp_path, "eu") == ["http://127.0.0.1:1234", "http://127.0.0.1:1235"]
    assert announced(tmp_path, "us") == []
    slot.free()
    assert announced(tmp_path, "eu") == ["http://127.0.0.1:1235"]
    other.free()


def test_a_worker_that_ends_while_its_pages_are_looked_for_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slots = [Slot.claim(tmp_path, "eu") for _ in range(2)]
    for number, slot in enumerate(slots):
        slot.announce(f"http://127.0.0.1:{number}")
    read = Path.read_text

    def ends_before(path: Path, **options: str) -> str:
        slots[0].free()
        monkeypatch.setattr(Path, "read_text", read)
        return read(path, **options)

    monkeypatch.setattr(Path, "read_text", ends_before)
    assert announced(tmp_path, "eu") == ["http://127.0.0.1:1"]
    slots[1].free()
