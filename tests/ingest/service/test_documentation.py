"""The consumer's reference says what is there, and the library guide's example runs."""

import re
from pathlib import Path

import pyarrow.dataset as ds

from ingest.kinesis.memory import MemoryStream
from ingest.runtime.metrics import Metrics
from tests.builders.virtual_time import VirtualClock, run_virtually, true_ms

DOCS = Path(__file__).parents[3] / "docs"
REFERENCE = DOCS / "reference" / "consumer.md"
LIBRARY = DOCS / "how-to" / "use-the-consumer-as-a-library.md"


def test_every_metric_is_documented_and_nothing_else() -> None:
    async def names() -> set[str]:
        families = list(Metrics(clock=VirtualClock()).registry.collect())
        return {f.name + ("_total" if f.type == "counter" else "") for f in families}

    table = REFERENCE.read_text().partition("## Metrics")[2].partition("## ")[0]
    cells = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    documented = {f"fleetlake_ingest_{name}" for cell in cells for name in re.findall(r"`(\w+)`", cell)}
    assert documented == run_virtually(names())


def test_the_library_example_consumes_another_format_into_another_store(tmp_path: Path) -> None:
    code = LIBRARY.read_text().partition("```python\n")[2].partition("```")[0]
    assert len([line for line in code.splitlines() if line.strip()]) <= 30
    example: dict[str, object] = {}
    exec(compile(code, str(LIBRARY), "exec"), example)

    async def story() -> None:
        stream = MemoryStream(2, now_ms=true_ms)
        for number in range(100):
            stream.put(f"d{number}", f"d{number},{true_ms() - 1000},{number}.5".encode())
        stream.put("bad", b"no,csv")
        report = await example["consume"](stream, tmp_path)  # type: ignore[operator]
        assert (report.landed, report.rejected) == (100, {"poison": 1})

    run_virtually(story())
    landed = ds.dataset(tmp_path / "landing", partitioning=None).to_table(columns=["device_id", "speed_kmh"])
    assert sorted(landed["speed_kmh"].to_pylist()) == [number + 0.5 for number in range(100)]
