"""A part of `bench marts`: staging's device days in one table, and with a partition a month (docs/adr/0152)."""

import itertools
import time
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from typing import Any

import psycopg

from bench.rows import Row

_ROWS = 1_000_000
"""Rows in each, over two months."""
_MONTHS = (date(2026, 3, 1), date(2026, 4, 1), date(2026, 5, 1))
_LAST = _MONTHS[-1] - timedelta(days=1)
_DEVICES = _ROWS // ((_LAST - _MONTHS[0]).days + 1)
_WHOLE = ("create table staging.measured (like staging.device_day including all)",)
_BY_MONTH = (
    "create table staging.measured (like staging.device_day including defaults) partition by range (day)",
    *(
        f"create table staging.measured_{first:%m} partition of staging.measured"
        f" for values from ('{first}') to ('{end}')"
        for first, end in itertools.pairwise(_MONTHS)
    ),
    "alter table staging.measured add primary key (device_id, day)",
    "create index on staging.measured (day)",
)
_FILL = """
insert into staging.measured (device_id, day, records, flagged, late, first_ts, last_ts, engine_s, moving_s, idle_s,
    off_s, distance_gps_km, trips)
select 'd' || lpad(n::text, 7, '0'), d::date, 900, 1, 2, d, d + interval '9 h', 3600, 3000, 600, 20000, 51.5, 4
from generate_series(%s::timestamp, %s, interval '1 day') d, generate_series(1, %s) n
"""


def compare(dsn: str) -> list[Row]:
    """A day's reload and retention's removals, a partition a month beside one table. dsn: the region's own role."""
    with psycopg.connect(dsn, autocommit=True) as postgres:
        whole = _measured(postgres, _WHOLE, drop=None)
        months = _measured(postgres, _BY_MONTH, drop=f"drop table staging.measured_{_MONTHS[0]:%m}")
    whats = {
        "reload_day": (f"one day of {_ROWS:,} rows replaced, a partition a month", "one table"),
        "expire_day": ("the oldest day removed by delete and vacuum, a partition a month", "one table"),
        "expire_month": ("the rest of its month removed by drop", "by delete and vacuum, one table"),
    }
    return [
        Row(id=f"partitions_{name}_s", what=what, value=months[name], unit="s", peer=peer, peer_value=whole[name],
            ratio=months[name] / whole[name])
        for name, (what, peer) in whats.items()
    ]  # fmt: skip


def _measured(postgres: psycopg.Connection[Any], makes: Sequence[str], drop: str | None) -> dict[str, float]:
    """Seconds of each, in a table that is made, filled and dropped again."""
    for statement in makes:
        postgres.execute(statement.encode())
    postgres.execute(_FILL, [_MONTHS[0], _LAST, _DEVICES])
    postgres.execute("vacuum analyze staging.measured")

    def reload() -> None:
        with postgres.transaction():
            postgres.execute("delete from staging.measured where day = %s", [_LAST])
            postgres.execute(_FILL, [_LAST, _LAST, _DEVICES])

    def remove(before: date) -> None:
        postgres.execute("delete from staging.measured where day < %s", [before])
        postgres.execute("vacuum staging.measured")

    def expire_month() -> None:
        if drop is None:
            remove(_MONTHS[1])
        else:
            postgres.execute(drop.encode())

    took = {
        "reload_day": _seconds(reload),
        "expire_day": _seconds(lambda: remove(_MONTHS[0] + timedelta(days=1))),
        "expire_month": _seconds(expire_month),
    }
    postgres.execute("drop table staging.measured")
    return took


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
