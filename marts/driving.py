"""When fleets work, and when whoever has a device drives for themselves: what driver_day tells apart."""

import re
from collections.abc import Sequence
from datetime import date, datetime, time
from typing import Any, NamedTuple

import psycopg
from psycopg.rows import dict_row

from contracts.errors import Misuse
from contracts.settings import RegionSettings
from lake.database import transaction

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAYS = re.compile(r"([a-z]{3})(?:-([a-z]{3}))?")
_TIMES = re.compile(r"(\d\d):(\d\d)-(\d\d):(\d\d)")
_MIDNIGHT = (24, 0)
_DUE = """
select ops.note_change_of_days(array(
    select day from ops.applied where target = 'marts' and day >= coalesce(%(since)s, %(today)s)
)), (select count(*) from ops.applied where target = 'marts' and day >= coalesce(%(since)s, %(today)s))
"""


class Shift(NamedTuple):
    """Work on one day of the week, 1 Monday to 7 Sunday; `ends` is text, as 24:00 is a time of Postgres alone."""

    weekday: int
    starts: time
    ends: str


def shifts(words: Sequence[str]) -> list[Shift]:
    """What `mon-fri 07:00-18:00` says, one shift a day. Raises Misuse."""
    return [shift for word in words for shift in _shifts(word)]


def set_work_hours(settings: RegionSettings, fleet_id: str, hours: Sequence[Shift], since: date | None = None) -> int:
    """Replace a fleet's work hours; without any, it says nothing of them. Business days that are due by it.

    since: the first of them; without it today. Earlier days keep the hours that they were built with. Raises Misuse.
    """
    values = {"since": since, "today": datetime.now(settings.row.zone).date()}
    insert = "insert into registry.work_hours (fleet_id, weekday, starts, ends) values (%s, %s, %s, %s)"
    with transaction(settings) as connection:
        if not connection.execute("select from registry.fleet where fleet_id = %s", [fleet_id]).rowcount:
            raise Misuse(f"region {settings.region} has no fleet {fleet_id!r} in its registry")
        connection.execute("delete from registry.work_hours where fleet_id = %s", [fleet_id])
        try:
            with connection.cursor() as cursor:
                cursor.executemany(insert, [(fleet_id, *shift) for shift in hours])
        except psycopg.errors.UniqueViolation:
            raise Misuse("two shifts of one day begin at the same time; name it once") from None
        row = connection.execute(_DUE, values).fetchone()
    return int(row[1]) if row else 0


def work_hours(settings: RegionSettings) -> list[dict[str, Any]]:
    """Work hours of all fleets that say them, as text."""
    query = """select fleet_id, weekday, to_char(starts, 'HH24:MI') as starts, left(ends::text, 5) as ends
        from registry.work_hours order by fleet_id, weekday, starts"""
    with transaction(settings) as connection, connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query).fetchall()


def add_private_time(
    settings: RegionSettings, device_id: str, starts_at: datetime, ends_at: datetime, who: str
) -> None:
    """Say that the device was driven privately between these times; entered once more, its end is corrected.

    Marts of the days that it touches are due. Raises Misuse for a device that is not known, or times in disorder.
    """
    if starts_at >= ends_at:
        raise Misuse("--from lies after --to: nothing is between")
    insert = """insert into registry.private_time (device_id, starts_at, ends_at, entered_by) values (%s, %s, %s, %s)
        on conflict (device_id, starts_at) do update set ends_at = excluded.ends_at, entered_by = excluded.entered_by"""
    try:
        with transaction(settings) as connection:
            connection.execute(insert, [device_id, starts_at, ends_at, who])
    except psycopg.errors.ForeignKeyViolation:
        raise Misuse(f"region {settings.region} has no such device in its registry") from None


def drop_private_time(settings: RegionSettings, device_id: str, starts_at: datetime) -> None:
    """Take back the private time that begins then. Raises Misuse where there is none."""
    delete = "delete from registry.private_time where device_id = %s and starts_at = %s"
    with transaction(settings) as connection:
        if not connection.execute(delete, [device_id, starts_at]).rowcount:
            raise Misuse("the device has no private time that begins then")


def _shifts(word: str) -> list[Shift]:
    days, _, times = word.strip().lower().partition(" ")
    of_days, of_times = _DAYS.fullmatch(days), _TIMES.fullmatch(times.strip())
    if of_days is None or of_times is None or not set(filter(None, of_days.groups())) <= set(WEEKDAYS):
        raise Misuse(f"{word!r} are no work hours; write them as 'mon-fri 07:00-18:00' or 'sat 08:00-12:00'")
    first = WEEKDAYS.index(of_days[1]) + 1
    last = WEEKDAYS.index(of_days[2] or of_days[1]) + 1
    start_h, start_min, end_h, end_min = map(int, of_times.groups())
    begins, ends = (start_h, start_min), (end_h, end_min)
    if last < first or not begins < ends <= _MIDNIGHT or max(start_min, end_min) > 59:  # noqa: PLR2004 - minutes
        raise Misuse(f"{word!r}: days and times go forward, to 24:00 at most; a night is two shifts")
    return [Shift(day, time(start_h, start_min), f"{end_h:02}:{end_min:02}") for day in range(first, last + 1)]
