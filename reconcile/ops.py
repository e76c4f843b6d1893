"""What Postgres says, all of it at one moment: progress, merges, and staging's and the marts' sums by day."""

from collections.abc import Mapping
from datetime import date
from typing import Any

import msgspec
import psycopg

from contracts.settings import RegionSettings
from reconcile.acknowledged import read_acknowledged
from reconcile.beginning import Beginning, read_beginnings
from reconcile.landed import (
    Landed,
    Merges,
    read_landed,
    read_merges,
)
from reconcile.losses import AcceptedLoss, read_accepted

Sums = dict[str, float]
"""What a day adds up to in one table: `rows`, and sums by the names that contracts.derived has for them."""

SUMMED: dict[str, tuple[str, ...]] = {
    "device_day": (
        *("records", "flagged", "late", "engine_s", "moving_s", "idle_s", "off_s", "unknown_s", "distance_gps_km"),
        *("distance_odometer_km", "max_speed_kmh", "fuel_l", "trips"),
    ),
    "trip": ("records", "moving_s", "idle_s", "distance_km", "max_speed_kmh", "fuel_l"),
    "episode": ("duration_s", "fuel_l"),
    "fault_day": ("records",),
}
"""Columns summed a day, by derived table."""

_SAME = {table: {"rows": "count(*)", **{name: f"sum({name})" for name in names}} for table, names in SUMMED.items()}
_IDLE, _FUEL = "filter (where kind = 'idle')", "filter (where kind in ('refuel', 'fuel_drop'))"
_DEVICES = {"engine_s": "utilisation_engine_s"} | {
    name: name for name in ("moving_s", "idle_s", "distance_gps_km", "fuel_l", "trips")
}
_RECEIVED = {"records": "records_received", "flagged": "records_flagged", "late": "records_late"}

TARGETS: dict[str, dict[str, str]] = {
    "staging.device_day": _SAME["device_day"],
    "staging.trip": _SAME["trip"],
    "staging.episode": _SAME["episode"]
    | {"idling": f"count(*) {_IDLE}", "idling_s": f"sum(duration_s) {_IDLE}", "fuel_events": f"count(*) {_FUEL}"},
    "staging.fault_day": _SAME["fault_day"],
    "marts.device_day": _SAME["device_day"] | {"flagged": "sum(flagged_records)", "late": "sum(late_records)"},
    "marts.trip": _SAME["trip"],
    "marts.idling_event": {"idling": "count(*)", "idling_s": "sum(duration_s)"},
    "marts.fuel_event": {"fuel_events": "count(*)"},
    **{
        mart: {name: f"sum({column})" for name, column in ({"rows": "devices_reporting"} | _DEVICES).items()}
        for mart in ("marts.fleet_day", "marts.fleet_type_day")
    },
    "marts.data_completeness_day": {
        name: f"sum({column})" for name, column in ({"rows": "devices_received"} | _RECEIVED).items()
    },
}
"""How each table says what a day of the derived table adds up to. Marts by fleet have fewer rows and the same sums."""


_SHOWN = "device_id not in (select device_id from registry.restriction)"


class Ops(msgspec.Struct, frozen=True, kw_only=True):
    """One moment of the region's database."""

    cursors: dict[str, str]
    """last_seq taken in from the ledger, by shard."""
    landed: list[Landed]
    merges: Merges
    harvested: tuple[int, int] | None
    """snapshot_id and sequence of history that changes were harvested up to."""
    changed: dict[date, int]
    derived: dict[date, tuple[int, int]]
    """Sequence a day was derived at, and the number that grows whenever its rows differ."""
    interrupted: set[date]
    """Days whose derived rows a run is replacing, or did not finish."""
    applied: dict[str, dict[date, int]]
    """Sequence by target and day."""
    accepted: list[AcceptedLoss]
    beginnings: dict[str, Beginning]
    """By shard: what maintenance has removed of its ledger, as sums."""
    expired: dict[date, int]
    """Rows that retention removed from history, by UTC event day."""
    acknowledged: int
    """User records, by the gateway's processes."""
    sums: dict[str, dict[date, Sums]]
    """By table of TARGETS, and day."""
    shown: dict[str, dict[date, Sums]]
    """The same of staging, without the devices whose processing is restricted: what the marts have."""

    def stale(self) -> set[date]:
        """Days that changed since they were derived, or were never derived to the end."""
        never = (-1, -1)
        changed = {day for day, sequence in self.changed.items() if sequence > self.derived.get(day, never)[0]}
        return changed | self.interrupted

    def ahead(self) -> set[date]:
        """Days derived from a newer history than the harvested one: something was merged in between."""
        reached = self.harvested[1] if self.harvested else -1
        return {day for day, (sequence, _) in self.derived.items() if sequence > reached}

    def unloaded(self) -> set[date]:
        """Derived days whose rows are not in staging yet."""
        staged = self.applied.get("staging", {})
        return {day for day, (_, rows) in self.derived.items() if staged.get(day, -1) < rows}

    def unmarted(self) -> set[date]:
        """Staged days whose rows are not in the marts yet."""
        marted = self.applied.get("marts", {})
        return {day for day, sequence in self.applied.get("staging", {}).items() if marted.get(day, -1) < sequence}


def read_ops(settings: RegionSettings) -> Ops:
    """Read all of it in one repeatable-read transaction."""
    with psycopg.connect(settings.postgres_dsn.get_secret_value()) as postgres:
        postgres.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        postgres.read_only = True
        cursor = postgres.execute(
            "select snapshot_id, sequence from ops.harvest_cursor where table_name = 'history.telemetry'"
        ).fetchone()
        beginnings = read_beginnings(postgres)
        return Ops(
            cursors=dict(postgres.execute("select shard_id, last_seq from ops.landing_cursor").fetchall()),
            landed=read_landed(postgres, beginnings),
            merges=read_merges(postgres),
            harvested=(cursor[0], cursor[1]) if cursor else None,
            changed=dict(postgres.execute("select day, sequence from ops.changed").fetchall()),
            derived=_derived(postgres),
            interrupted=_interrupted(postgres),
            applied=_applied(postgres),
            accepted=read_accepted(postgres),
            beginnings=beginnings,
            expired=_expired(postgres),
            acknowledged=read_acknowledged(postgres),
            sums={target: _sums(postgres, target, columns) for target, columns in TARGETS.items()},
            shown=_shown(postgres),
        )


def read_rederived(settings: RegionSettings, ops: Ops) -> set[date]:
    """Days that were derived since `ops` was read, or whose rows are being replaced now."""
    with psycopg.connect(settings.postgres_dsn.get_secret_value(), autocommit=True) as postgres:
        # In this order: a run that ends in between is seen by the second.
        interrupted = _interrupted(postgres)
        return interrupted | {day for day, reached in _derived(postgres).items() if ops.derived.get(day) != reached}


def _derived(postgres: "psycopg.Connection[Any]") -> dict[date, tuple[int, int]]:
    rows = postgres.execute("select day, sequence, coalesce(rows_sequence, sequence) from ops.derived").fetchall()
    return {day: (sequence, rows_sequence) for day, sequence, rows_sequence in rows}


def _expired(postgres: "psycopg.Connection[Any]") -> dict[date, int]:
    rows = postgres.execute("select day, sum(rows)::bigint from ops.expired group by day").fetchall()
    return {day: int(count) for day, count in rows}


def _interrupted(postgres: "psycopg.Connection[Any]") -> set[date]:
    return {day for (day,) in postgres.execute("select day from ops.deriving where not taken_up").fetchall()}


def _applied(postgres: "psycopg.Connection[Any]") -> dict[str, dict[date, int]]:
    applied: dict[str, dict[date, int]] = {}
    for target, day, sequence in postgres.execute("select target, day, sequence from ops.applied").fetchall():
        applied.setdefault(target, {})[day] = sequence
    return applied


def _shown(postgres: "psycopg.Connection[Any]") -> dict[str, dict[date, Sums]]:
    staging = {name: columns for name, columns in TARGETS.items() if name.startswith("staging.")}
    if postgres.execute("select from registry.restriction limit 1").fetchone() is None:
        return {}
    return {name: _sums(postgres, name, columns, _SHOWN) for name, columns in staging.items()}


def _sums(
    postgres: "psycopg.Connection[Any]", target: str, columns: Mapping[str, str], where: str = "true"
) -> dict[date, Sums]:
    found = postgres.execute("select to_regclass(%s)", [target]).fetchone()
    if found is None or found[0] is None:
        return {}
    summed = ", ".join(f"coalesce({column}, 0)::float8" for column in columns.values())
    # Names are constants of this module.
    query = f"select day, {summed} from {target} where {where} group by day"  # noqa: S608
    return {day: dict(zip(columns, sums, strict=True)) for day, *sums in postgres.execute(query.encode()).fetchall()}
