"""Publishing a day's releases: from the region's marts, through the policy, to the region's prefix of the exchange."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import boto3
import msgspec
import psycopg
import pyarrow as pa
import structlog

from contracts.derived import PUBLISHED, WITHHELD
from contracts.errors import ReleaseRefused
from contracts.settings import RegionSettings
from release.database import connect, transaction
from release.days import OtherDay
from release.exchange import CUSTOMERS, RELEASES, UTILISATION, Release, ReleaseKey, checked, encode
from release.marks import marker
from release.policy import ALL, DeviceUse, Policy
from release.progress import (
    device_uses,
    due_days,
    known_customers,
    known_kinds,
    lock_releases,
    mark_released,
    marts_sequence,
    published_cells,
    record_versions,
    recorded_versions,
)
from release.versions import in_force, next_versions, withheld

_COMPARED = (-7, -1, 1, 7)
"""Days beside a day that its cells may be subtracted from: the one before and after, and the same weekday."""
_log = structlog.get_logger(__name__)


class ReleaseReport(msgspec.Struct, frozen=True, kw_only=True):
    """What one publication did. No value of a withheld cell is in it."""

    region: str
    day: date
    key: str
    published: int
    """Cells in the object."""
    withheld: int
    restated: int
    """Cells that this publication gave a new version of, after an earlier one."""

    def metadata(self) -> dict[str, Any]:
        """JSON-able values for the asset's metadata."""
        return {"published_cells": self.published, "withheld_cells": self.withheld, "restated_cells": self.restated}


def due_releases(settings: RegionSettings, today: date | None = None) -> list[date]:
    """Business days that are final and whose marts are newer than their release, in order.

    today: the region's business day; now in its time zone where it is left out.
    """
    with transaction(settings.postgres_dsn) as fleet:
        return due_days(fleet, _newest(settings, today))


def publish_day(settings: RegionSettings, day: date, today: date | None = None) -> ReleaseReport:
    """Publish what the policy allows of `day`, and record it. May be repeated, killed, and run twice at once.

    Versions are recorded before the object is put, and the object is made from the recorded versions: a later
    publication is compared with everything that was ever public, and a repeated one puts the same bytes. Customers' own
    totals are published with it. Returns the report of the release that is for everybody.
    Raises Misuse where the day has no marts, ReleaseRefused where it is too young or breaks the release's schema, and
    StoreUnavailable.
    """
    if day > _newest(settings, today):
        raise ReleaseRefused(f"{day} did not end {settings.release_delay_days} days ago; publish it when it is older")
    with connect(settings.privacy_dsn, autocommit=True) as privacy:
        lock_releases(privacy)
        with transaction(settings.postgres_dsn) as fleet:
            sequence = marts_sequence(fleet, day)
            sources = _sources(fleet, privacy, day)
        reports = {release.name: _publish(settings, privacy, day, release, sources) for release in RELEASES.values()}
        report = reports[UTILISATION.name]
        with transaction(settings.postgres_dsn) as fleet:
            mark_released(fleet, day, sequence, report.published)
    _log.info("release_published", region=report.region, day=str(day), **report.metadata())
    return report


@dataclass(frozen=True, slots=True)
class _Source:
    """What one release of a day is made from."""

    uses: list[DeviceUse]
    days: Sequence[OtherDay]
    known: set[str]
    """Cells that there may be, used or not."""


def _sources(fleet: psycopg.Connection, privacy: psycopg.Connection, day: date) -> dict[str, _Source]:
    beside = [day + timedelta(days=days) for days in _COMPARED]
    public = {(other, name): published_cells(privacy, other, name) for other in beside for name in RELEASES}
    rows = {other: device_uses(fleet, other) for other in [day, *beside] if other == day or _any(public, other)}
    kinds = {other: [use for use, _ in uses] for other, uses in rows.items()}
    customers = {other: _of_customers(uses) for other, uses in rows.items()}

    def source(release: Release, uses: Mapping[date, list[DeviceUse]], known: set[str]) -> _Source:
        days = [OtherDay(uses[other], public[other, release.name]) for other in beside if public[other, release.name]]
        return _Source(uses[day], days, known)

    return {
        UTILISATION.name: source(UTILISATION, kinds, known_kinds(fleet) | {ALL}),
        CUSTOMERS.name: source(CUSTOMERS, customers, known_customers(fleet)),
    }


def _any(public: Mapping[tuple[date, str], Mapping[str, Any]], day: date) -> bool:
    return any(public[day, name] for name in RELEASES)


def _of_customers(uses: Iterable[tuple[DeviceUse, str | None]]) -> list[DeviceUse]:
    """The devices of customers, by customer: nobody else reads the cell, so nobody but the drivers is hidden in it."""
    return [replace(use, device_type=customer, holders=()) for use, customer in uses if customer is not None]


def _publish(
    settings: RegionSettings, privacy: psycopg.Connection, day: date, release: Release, sources: Mapping[str, _Source]
) -> ReleaseReport:
    source, recorded = sources[release.name], recorded_versions(privacy, day, release.name)
    policy = Policy(settings.cohort_size, settings.dominance_share, settings.p_percent, settings.least_holders)
    marks = marker(settings.release_key.get_secret_value().encode(), release.name, day)
    new = next_versions(source.uses, recorded, policy, marks, source.days, total=release.total)
    versions = [*recorded, *new]
    of = ReleaseKey(settings.region, release.name, day)
    published = in_force(versions)
    hidden = sorted(source.known.union(withheld(versions)) - published.keys())
    data = encode(checked(_table(of, release, published, hidden), of))
    record_versions(privacy, day, new, release.name)
    _put(settings, of.key, data)
    return ReleaseReport(
        region=of.region,
        day=of.day,
        key=of.key,
        published=len(published),
        withheld=len(hidden),
        restated=len(new) if in_force(recorded) else 0,
    )


def _newest(settings: RegionSettings, today: date | None) -> date:
    """The youngest day that ended `release_delay_days` days ago: it is final, as a mart's `is_final` says."""
    today = today or datetime.now(UTC).astimezone(settings.row.zone).date()
    return today - timedelta(days=settings.release_delay_days + 1)


def _put(settings: RegionSettings, key: str, data: bytes) -> None:
    s3 = boto3.client("s3", **settings.s3.client_kwargs(settings.row.aws_region))
    s3.put_object(Bucket=settings.exchange_bucket, Key=key, Body=data)


def _table(
    of: ReleaseKey, release: Release, published: Mapping[str, Mapping[str, Any]], hidden: Sequence[str]
) -> pa.Table:
    where = {"region": of.region, "day": of.day}
    rows = [{**where, release.dimension: cell, "status": PUBLISHED, **values} for cell, values in published.items()]
    rows += [{**where, release.dimension: cell, "status": WITHHELD} for cell in hidden]
    unexpected = {name for row in rows for name in row} - set(release.schema.names)
    if unexpected:
        raise ReleaseRefused(f"{of.key}: recorded cells have {sorted(unexpected)}, which the release does not")
    return pa.Table.from_pylist(sorted(rows, key=lambda row: str(row[release.dimension])), schema=release.schema)
