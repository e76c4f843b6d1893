"""What stands in the stores after a soak, counted from their own contents: ledger, landing, Redis."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import redis

from bench.team import Producer, Team, broken_chains
from contracts.ledger import LANDED
from contracts.names import redis_latest

_COLUMNS = ["event_id", "device_id", "ts", "arrival_ts", "sequence_number", "sub_sequence"]
_A_READ = 1_000

Order = tuple[int, int, int, int]
"""What the newest record of a device has the greatest of."""


@dataclass
class Counts:
    """User records, shards of the ledger that are wrong, devices."""

    landed_once: int
    missing: int
    twice: int
    foreign: int
    rejected: int
    broken_chains: int
    lost: int
    devices: int
    live_last: int
    """Devices whose live state is their last record."""


def counted(team: Team, producer: Producer) -> Counts:
    """What the ledger lists against what was put, and live state against what landed."""
    rows, entries = team.aftermath.ledger()
    objects = team.aftermath.objects()
    seen = np.zeros(producer.user_records, np.int64)
    last: dict[str, tuple[Order, str]] = {}
    foreign = 0
    for key in [one.key for entry in entries for one in entry.objects if one.kind == LANDED]:
        table = pq.read_table(pa.BufferReader(objects[key]), columns=_COLUMNS)
        numbers = np.array([number_of(event) for event in table["event_id"].to_pylist()])
        foreign += int(np.count_nonzero((numbers < 0) | (numbers >= len(seen))))
        np.add.at(seen, numbers[(numbers >= 0) & (numbers < len(seen))], 1)
        for device, order, event in ordered(table):
            if device not in last or order > last[device][0]:
                last[device] = order, event
    sent = np.zeros(len(seen), bool)
    sent[[number_of(event) for event in producer.sent]] = True
    return Counts(
        landed_once=int(np.count_nonzero(seen[sent] == 1)),
        missing=int(np.count_nonzero(seen[sent] == 0)),
        twice=int(np.count_nonzero(seen > 1)),
        foreign=foreign + int(np.count_nonzero(seen[~sent])),
        rejected=sum(entry.rejected_total for entry in entries),
        broken_chains=len(broken_chains(rows, entries)),
        lost=sum(entry.lost for entry in entries),
        devices=len(last),
        live_last=_live(team, {device: event for device, (_, event) in last.items()}),
    )


def number_of(event_id: str | None) -> int:
    """The number that the producer gave a record; -1 where it gave none."""
    return int(event_id[1:]) if event_id and event_id[0] == "n" and event_id[1:].isdigit() else -1


def ordered(table: pa.Table) -> Iterator[tuple[str, Order, str]]:
    """Device, order and event id of each row."""
    times = (table[name].cast(pa.int64()).to_numpy() // 1000 for name in ("ts", "arrival_ts"))
    ts, arrival = (column.tolist() for column in times)
    sequences = map(int, table["sequence_number"].to_pylist())
    orders = zip(map(min, ts, arrival), arrival, sequences, table["sub_sequence"].to_pylist(), strict=True)
    return zip(table["device_id"].to_pylist(), orders, table["event_id"].to_pylist(), strict=True)


def _live(team: Team, last: dict[str, str]) -> int:
    """How many of these devices have that event as their live state."""
    devices, same = sorted(last), 0
    with redis.Redis.from_url(team.settings.redis_url.get_secret_value()) as client:
        for start in range(0, len(devices), _A_READ):
            some = devices[start : start + _A_READ]
            values: list[Any] = client.mget([redis_latest(team.region, device) for device in some])
            for device, value in zip(some, values, strict=True):
                same += value is not None and msgspec.json.decode(value).get("event_id") == last[device]
    return same
