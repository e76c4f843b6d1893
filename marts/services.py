"""Service plans, and services that were done: what marts.maintenance_due counts from."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import psycopg
from psycopg.rows import dict_row

from contracts.errors import BadInputFile, Misuse
from contracts.settings import RegionSettings
from lake.database import transaction

_PLAN = """
insert into registry.service_plan (plan_id, task, fleet_id, make, model, every_km, every_engine_h, every_days)
values (%(plan_id)s, %(task)s, %(fleet_id)s, %(make)s, %(model)s, %(every_km)s, %(every_engine_h)s, %(every_days)s)
on conflict (plan_id) do update set (task, fleet_id, make, model, every_km, every_engine_h, every_days)
  = (excluded.task, excluded.fleet_id, excluded.make, excluded.model, excluded.every_km, excluded.every_engine_h,
     excluded.every_days)
"""
_DONE = """
insert into registry.service_done (device_id, plan_id, done_on, entered_by) values (%s, %s, %s, %s)
on conflict do nothing
"""


class Plan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be done to devices of a fleet, make and model, each None for all; after how much of what."""

    plan_id: str
    task: str
    fleet_id: str | None = None
    make: str | None = None
    model: str | None = None
    every_km: float | None = None
    every_engine_h: float | None = None
    every_days: int | None = None


class Done(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A service that was done on a business day."""

    device_id: str
    plan_id: str
    done_on: date


def enter(settings: RegionSettings, entries: Sequence[Plan | Done], who: str) -> dict[str, int]:
    """Enter plans, which replace those of their id, and services that were done; all of them or none.

    Raises Misuse where a plan says nothing that can be counted, or names a fleet, device or plan that is not known.
    """
    plans = [entry for entry in entries if isinstance(entry, Plan)]
    done = [(one.device_id, one.plan_id, one.done_on, who) for one in entries if isinstance(one, Done)]
    try:
        with transaction(settings) as connection, connection.cursor() as cursor:
            cursor.executemany(_PLAN, [msgspec.structs.asdict(plan) for plan in plans])
            cursor.executemany(_DONE, done)
    except psycopg.errors.ForeignKeyViolation as error:
        what = {"fleet_id": "fleet", "device_id": "device", "plan_id": "plan"}
        missing = next((word for name, word in what.items() if name in (error.diag.constraint_name or "")), "device")
        raise Misuse(f"region {settings.region} has no such {missing} in its registry; enter it first") from None
    except psycopg.errors.CheckViolation:
        raise Misuse(
            "a plan has an id of 1 to 64 of A-Z a-z 0-9 . _ : -, a task, and at least one of every_km, "
            "every_engine_h and every_days, each above 0"
        ) from None
    return {"plans": len(plans), "services_done": len(done)}


def drop(settings: RegionSettings, plan_id: str) -> None:
    """Remove a plan, and what is on record of its services. Raises Misuse where there is none."""
    with transaction(settings) as connection:
        if not connection.execute("delete from registry.service_plan where plan_id = %s", [plan_id]).rowcount:
            raise Misuse(f"region {settings.region} has no service plan {plan_id!r}; list them: fleetlake service list")


def plans(settings: RegionSettings) -> list[dict[str, Any]]:
    """All plans, by id."""
    with transaction(settings) as connection, connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute("select * from registry.service_plan order by plan_id").fetchall()


def due(settings: RegionSettings) -> list[dict[str, Any]]:
    """What marts.maintenance_due says is due, most overdue first by date; none before the marts are built."""
    query = """select device_id, plan_id, task, left_km, left_engine_h, left_days from marts.maintenance_due
        where is_due order by left_days nulls last, device_id, plan_id"""
    with transaction(settings) as connection, connection.cursor(row_factory=dict_row) as cursor:
        if cursor.execute("select where to_regclass('marts.maintenance_due') is null").rowcount:
            return []
        return cursor.execute(query).fetchall()


def read(path: Path) -> Iterator[Plan | Done]:
    """Plans of a CSV file with a header, or the services done, where it has a column done_on. Raises BadInputFile."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file)
            kind = Done if "done_on" in (rows.fieldnames or ()) else Plan
            for number, row in enumerate(rows, start=2):
                yield _entry(kind, row, f"{path}, line {number}")
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadInputFile(f"{path} cannot be read as CSV ({type(error).__name__})") from None


def _entry(kind: type[Plan] | type[Done], row: Mapping[str, str | None], where: str) -> Plan | Done:
    try:
        return msgspec.convert({name: value for name, value in row.items() if value}, kind, strict=False)
    except msgspec.ValidationError as error:
        columns = ", ".join(kind.__struct_fields__)
        raise BadInputFile(f"{where}: {error}; the columns are {columns}") from None
