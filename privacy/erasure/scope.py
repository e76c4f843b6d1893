"""Whom a request means: a device, or the devices and times of a data subject or a fleet, as the registry knows them."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import groupby
from typing import Any

import psycopg

from contracts.erasable import Portion, Scope
from contracts.errors import Misuse, StoreUnavailable
from contracts.record import DEVICE_ID_PATTERN
from contracts.settings import RegionSettings
from privacy.requests import SubjectKind

_IS_DEVICE = "select exists (select from registry.device where device_id = %s)"
_IS_SUBJECT = "select exists (select from registry.subject where subject_id = %s)"
_HELD = """
    select s.device_id, s.valid_from, s.valid_to,
        exists (select from registry.device_subject e
            where e.device_id = s.device_id and e.subject_id <> s.subject_id and e.valid_from < s.valid_from)
    from registry.device_subject s where s.subject_id = %s order by s.device_id
"""
_OF_FLEET = """
    select device_id, valid_from, valid_to, fleet_id = %(fleet)s from registry.device_period
    where device_id in (select device_id from registry.device_period where fleet_id = %(fleet)s)
    order by device_id, valid_from
"""


class Named(StrEnum):
    """What a name is meant as."""

    DEVICE = "device"
    SUBJECT = "subject"
    FLEET = "fleet"


def scope_of(
    settings: RegionSettings,
    name: str,
    kind: Named | None = None,
    *,
    start: datetime | None = None,
    end: datetime | None = None,
    now: datetime | None = None,
) -> tuple[SubjectKind, Scope]:
    """What a request by this name is about. start, end: only what lies between.

    A person's data are those of their devices from when they had them, until they gave them back or now; the first who
    had a device has what it sent before it was registered, too. Times are of whole milliseconds, as records' are. A
    person without devices is a name alone. A fleet's data are those of its devices from when they were its own. Raises
    Misuse for a name that means either, or nothing.
    """
    start, end = whole_ms(start), whole_ms(end)
    if start is not None and end is not None and start >= end:
        raise Misuse("--from lies after --to: nothing is between")
    with _registry(settings) as registry:
        kind = kind or _kind_of(registry, name, settings)
        if kind is Named.DEVICE:
            return SubjectKind.DEVICE, Scope((Portion(name, start, end),))
        if kind is Named.FLEET:
            return SubjectKind.FLEET, Scope(tuple(_of_fleet(registry, name, start, end)))
        held = registry.execute(_HELD, [name]).fetchall()
        known = _is(registry, _IS_SUBJECT, name)
    if not known:
        raise Misuse(f"region {settings.region} has no such person; look at the spelling, or name the devices")
    whole_person = start is None and end is None
    if not held and not whole_person:
        raise Misuse(f"no device of region {settings.region} is tied to this person; leave out --from and --to")
    until = now or datetime.now(UTC)
    portions = []
    for device, since, to, is_later in held:
        first = _later(start, whole_ms(since) if is_later else None)
        last = _earlier(end, whole_ms(_earlier(to, until)))
        if first is None or last is None or first < last:
            portions.append(Portion(device, first, last))
    if not portions and not whole_person:
        raise Misuse("the person had no device at that time")
    return SubjectKind.SUBJECT, Scope(tuple(portions), name if whole_person else None)


def _of_fleet(
    registry: "psycopg.Connection[Any]", fleet: str, start: datetime | None, end: datetime | None
) -> Iterator[Portion]:
    """Each of the fleet's devices: whole where it was never another's, else the times between. Raises Misuse."""
    rows = registry.execute(_OF_FLEET, {"fleet": fleet}).fetchall()
    if not rows:
        raise Misuse("no device of the region is or was of this fleet; `fleetlake fleet list` has the fleets")
    for device, periods in groupby(rows, key=lambda row: row[0]):
        spans: list[tuple[datetime | None, datetime | None]] = []
        own_before: bool | None = None
        for _, since, to, is_own in periods:
            # The first who had a device has what it sent before it was registered, too.
            first = None if own_before is None else whole_ms(since)
            if is_own and own_before:
                spans[-1] = (spans[-1][0], whole_ms(to))
            elif is_own:
                spans.append((first, whole_ms(to)))
            own_before = bool(is_own)
        for first, last in spans:
            since, until = _later(start, first), _earlier(end, last)
            if since is None or until is None or since < until:
                yield Portion(device, since, until)


def _kind_of(registry: "psycopg.Connection[Any]", name: str, settings: RegionSettings) -> Named:
    is_device, is_subject = (_is(registry, query, name) for query in (_IS_DEVICE, _IS_SUBJECT))
    if is_device and is_subject:
        raise Misuse("the name is both a device's and a person's; say --as device or --as subject")
    if is_subject:
        return Named.SUBJECT
    if not is_device and not re.fullmatch(DEVICE_ID_PATTERN, name):
        raise Misuse(
            f"region {settings.region} has no such person, and the name is no device id; "
            "--as device looks for it in rejected records, too"
        )
    # A device that the registry does not know may have sent data all the same.
    return Named.DEVICE


def _is(registry: "psycopg.Connection[Any]", query: str, name: str) -> bool:
    return bool((registry.execute(query.encode(), [name]).fetchone() or (False,))[0])


def whole_ms(moment: datetime | None) -> datetime | None:
    """The first whole millisecond from a moment on: records' times have no finer part, and no store may round apart."""
    if moment is None or not moment.microsecond % 1000:
        return moment
    return moment + timedelta(microseconds=-moment.microsecond % 1000)


def _later(one: datetime | None, other: datetime | None) -> datetime | None:
    return max((each for each in (one, other) if each is not None), default=None)


def _earlier(one: datetime | None, other: datetime | None) -> datetime | None:
    return min((each for each in (one, other) if each is not None), default=None)


@contextmanager
def _registry(settings: RegionSettings) -> "Iterator[psycopg.Connection[Any]]":
    try:
        with psycopg.connect(settings.postgres_dsn.get_secret_value(), connect_timeout=10) as connection:
            yield connection
    except psycopg.OperationalError as error:
        raise StoreUnavailable(f"Postgres of region {settings.region} does not answer") from error
