"""What `fleetlake trail` exports and `fleetlake replay` sends is, for the consumer, the same records again."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from devices.replay import Mapping, open_feed
from ingest.decode import JsonDecoder
from lake.trail.formats import FORMATS
from lake.trail.model import Sources, Trail
from tests.builders.ingest import ARRIVAL_MS, SHARD, kinesis

DAY = datetime.fromtimestamp(ARRIVAL_MS / 1000, UTC)
SENT: list[dict[str, Any]] = [
    {"event_id": "000123", "lat": 52.5, "lon": 13.4, "engine_on": True, "signals": {"oil": 3.1}},
    {"event_id": "1e3", "attributes": {"route": "7, 'north'", "driver": "NULL"}},
    {"lat": 52.5, "lon": 13.4, "fault_codes": ["P0301", "P0420"]},
    {"lat": "52,5", "speed_kmh": 1e300},
]


def landed(payloads: list[bytes]) -> pa.Table:
    return pa.Table.from_batches([JsonDecoder().decode(SHARD, kinesis(payloads)).rows])


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_an_export_that_is_replayed_adds_nothing_to_history(form: str, tmp_path: Path) -> None:
    fields = [{"device_id": "a", "ts": ARRIVAL_MS - 1000 + place} | row for place, row in enumerate(SENT)]
    once = landed([json.dumps(row).encode() for row in fields])
    trail = Trail(
        devices=("a",), start=DAY - timedelta(days=1), end=DAY, records=once, sources=Sources(), files_read=1,
        bytes_read=1, seconds=0.1,
    )  # fmt: skip
    path = tmp_path / f"trail.{form}"
    path.write_bytes(FORMATS[form](trail))
    again = landed([payload for part in open_feed(path, Mapping()).outgoing() for payload in part.payloads])
    identity = ["device_id", "ts", "record_id"]
    assert again.select(identity).to_pylist() == once.select(identity).to_pylist()
    readings = ["lat", "lon", "speed_kmh", "engine_on", "fault_codes", "signals"]
    assert again.select(readings).to_pylist() == once.select(readings).to_pylist()
    assert dict(again["attributes"][1].as_py())["route"] == "7, 'north'"
