"""Records of devices, as rows of landing and history, with each copy's place on the stream."""

import io
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from contracts.identity import record_id
from contracts.record import LANDING_SCHEMA, Flag

DAY = datetime(2026, 11, 2, tzinfo=UTC)
"""A Monday that ended long ago."""


def device_name(number: int) -> str:
    """veh-0007 and so on."""
    return f"veh-{number:04d}"


@dataclass
class Rows:
    """Makes rows of LANDING_SCHEMA, one device after the other; `make` gives them their places on the stream."""

    seed: int = 1
    made: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)

    def make(
        self,
        devices: int = 3,
        each: int = 20,
        start: datetime = DAY,
        every: timedelta = timedelta(minutes=1),
        late: timedelta = timedelta(seconds=2),
        shard: str = "shardId-000000000000",
    ) -> pa.Table:
        """`each` records of each of `devices` devices from `start` on; they arrive `late` after their event time."""
        rows = [
            self._row(device_name(number), start + step * every, late, shard)
            for number in range(devices)
            for step in range(each)
        ]
        return pa.Table.from_pylist(rows, schema=LANDING_SCHEMA)

    def _row(self, device: str, ts: datetime, late: timedelta, shard: str) -> dict[str, object]:
        self.made += 1
        event = f"m{self.made:08d}" if self.made % 2 else None
        odd = self.made % 17 == 0
        lat, lon = (0.0, 0.0) if odd else (48.1 + self.rng.normal() / 50, 11.5 + self.rng.normal() / 50)
        return {
            "device_id": device,
            "ts": ts,
            "event_id": event,
            "lat": lat,
            "lon": lon,
            "altitude_m": 520.5,
            "speed_kmh": float(self.rng.integers(0, 120)),
            "engine_on": True,
            "fault_codes": ["P0301"] if self.made % 5 == 0 else None,
            "signals": [("oil_bar", 3.5)] if self.made % 3 == 0 else None,
            "attributes": [("route", "7, 'north'")] if self.made % 7 == 0 else None,
            "record_id": record_id(event, f"{self.seed}/{self.made}".encode()),
            "arrival_ts": ts + late,
            "shard_id": shard,
            "sequence_number": str(self.made),
            "sub_sequence": 0,
            "flags": int(Flag.NULL_ISLAND) if odd else 0,
        }


def again(rows: pa.Table, after: timedelta = timedelta(minutes=3), sequence: int = 10**6) -> pa.Table:
    """The same records as they arrive a second time, `after` the first."""
    late = pa.array(
        [value + after for value in rows.column("arrival_ts").to_pylist()], LANDING_SCHEMA.field("arrival_ts").type
    )
    numbers = pa.array([str(sequence + at) for at in range(rows.num_rows)])
    at_arrival, at_number = (
        LANDING_SCHEMA.get_field_index("arrival_ts"),
        LANDING_SCHEMA.get_field_index("sequence_number"),
    )
    moved = rows.set_column(at_arrival, LANDING_SCHEMA.field(at_arrival), late)
    return moved.set_column(at_number, LANDING_SCHEMA.field(at_number), numbers)


def as_object(rows: pa.Table, row_group: int = 1_000_000) -> bytes:
    """A landing object: sorted by device and time, zstd."""
    ordered = rows.sort_by([("device_id", "ascending"), ("ts", "ascending")])
    buffer = io.BytesIO()
    pq.write_table(ordered, buffer, compression="zstd", row_group_size=row_group)
    return buffer.getvalue()
