"""The consumer's reference says what is there, and the library guide's examples are whole."""

import asyncio
import re
import time
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds
import pytest

from ingest.kinesis.memory import MemoryStream
from ingest.runtime.metrics import Metrics
from ingest.worker import Options, Report
from tests.builders.consumer import until
from tests.builders.library import CSV, HANDLER, example
from tests.builders.virtual_time import VirtualClock, run_virtually

DOCS = Path(__file__).parents[3] / "docs"
REFERENCE = DOCS / "reference" / "consumer.md"


def test_every_metric_is_documented_and_nothing_else() -> None:
    async def names() -> set[str]:
        families = list(Metrics(clock=VirtualClock()).registry.collect())
        return {f.name + ("_total" if f.type == "counter" else "") for f in families}

    table = REFERENCE.read_text().partition("## Metrics")[2].partition("## ")[0]
    cells = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    documented = {f"fleetlake_ingest_{name}" for cell in cells for name in re.findall(r"`(\w+)`", cell)}
    assert documented == run_virtually(names())


def test_the_library_examples_are_short() -> None:
    for number in (HANDLER, CSV):
        assert len([line for line in example(number).splitlines() if line.strip()]) <= 30


def test_the_library_example_consumes_another_format_into_another_store(tmp_path: Path) -> None:
    report = asyncio.run(_csv(tmp_path, Options(until_idle=True), 0))
    assert (report.landed, report.rejected) == (101, {"poison": 1})
    landed = ds.dataset(tmp_path / "landing", partitioning=None).to_table(columns=["device_id", "speed_kmh"])
    assert sorted(landed["speed_kmh"].to_pylist()) == [number + 0.5 for number in range(100)] + [1000.5]


@pytest.mark.parametrize(
    ("options", "seconds"),
    [
        (Options(lease_ttl_s=0.3, sweep_every_s=0.3, sweep_all_every_s=0.5, flush_age_s=0.3), 3),
        pytest.param(Options(), 120, marks=pytest.mark.long),
    ],
)
def test_the_library_example_runs_as_a_service(options: Options, seconds: float, tmp_path: Path) -> None:
    report = asyncio.run(_csv(tmp_path, options, seconds))
    assert (report.landed, report.rejected, report.not_committed) == (101, {"poison": 1}, [])


async def _csv(root: Path, options: Options, seconds: float) -> Report:
    """Run the example's worker, as a service for so many seconds; a last record comes at their end."""

    def now_ms() -> int:
        return int(time.time() * 1000)

    made: dict[str, Any] = {}
    exec(compile(example(CSV), "example", "exec"), made)
    stream = MemoryStream(2, now_ms=now_ms)
    for number in range(100):
        stream.put(f"d{number}", f"d{number},{now_ms() - 1000},{number}.5".encode())
    stream.put("bad", b"no,csv")
    if options.until_idle:
        stream.put("last", f"d,{now_ms() - 1000},1000.5".encode())
        report: Report = await made["worker"](stream, root, options).run()
        return report
    worker = made["worker"](stream, root, options)
    running = asyncio.create_task(worker.run())
    await asyncio.wait([running], timeout=seconds)
    stream.put("last", f"d,{now_ms() - 1000},1000.5".encode())
    await until(lambda: running.done() or worker.totals.user_records_read == 102)
    worker.stop()
    return await running
