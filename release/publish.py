"""Publishing a day's release: from the region's marts, through the policy, to the region's prefix of the exchange."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

import boto3
import msgspec
import pyarrow as pa
import structlog

from contracts.derived import UTILISATION_DAY_SCHEMA
from contracts.errors import ReleaseRefused
from contracts.settings import RegionSettings
from release.database import connect, transaction
from release.exchange import RELEASE, ReleaseKey, checked, encode
from release.marks import marker
from release.policy import Policy
from release.progress import (
    device_uses,
    due_days,
    lock_day,
    mark_released,
    marts_sequence,
    record_versions,
    recorded_versions,
)
from release.versions import RESIDUAL, Version, in_force, next_versions

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
    publication is compared with everything that was ever public, and a repeated one puts the same bytes.
    Raises Misuse where the day has no marts, ReleaseRefused where it is too young or breaks the release's schema, and
    StoreUnavailable.
    """
    if day > _newest(settings, today):
        raise ReleaseRefused(f"{day} did not end {settings.release_delay_days} days ago; publish it when it is older")
    with connect(settings.privacy_dsn, autocommit=True) as privacy:
        lock_day(privacy, day)
        with transaction(settings.postgres_dsn) as fleet:
            sequence = marts_sequence(fleet, day)
            uses = device_uses(fleet, day)
        recorded = recorded_versions(privacy, day)
        policy = Policy(settings.cohort_size, settings.dominance_share)
        key = settings.release_key.get_secret_value().encode()
        new = next_versions(uses, recorded, policy, marker(key, RELEASE, day))
        versions = [*recorded, *new]
        of = ReleaseKey(settings.region, RELEASE, day)
        data = encode(checked(_table(of, in_force(versions)), of))
        record_versions(privacy, day, new)
        _put(settings, of.key, data)
        report = _report(of, versions, restated=len(new) if in_force(recorded) else 0)
        with transaction(settings.postgres_dsn) as fleet:
            mark_released(fleet, day, sequence, report.published)
    _log.info("release_published", region=report.region, day=str(day), **report.metadata())
    return report


def _newest(settings: RegionSettings, today: date | None) -> date:
    """The youngest day that ended `release_delay_days` days ago: it is final, as a mart's `is_final` says."""
    today = today or datetime.now(UTC).astimezone(settings.row.zone).date()
    return today - timedelta(days=settings.release_delay_days + 1)


def _put(settings: RegionSettings, key: str, data: bytes) -> None:
    s3 = boto3.client("s3", **settings.s3.client_kwargs(settings.row.aws_region))
    s3.put_object(Bucket=settings.exchange_bucket, Key=key, Body=data)


def _report(of: ReleaseKey, versions: list[Version], *, restated: int) -> ReleaseReport:
    published = len(in_force(versions))
    known = {version.cell for version in versions} - {RESIDUAL}
    return ReleaseReport(
        region=of.region,
        day=of.day,
        key=of.key,
        published=published,
        withheld=len(known) - published,
        restated=restated,
    )


def _table(of: ReleaseKey, cells: Mapping[str, Mapping[str, Any]]) -> pa.Table:
    rows = [{"region": of.region, "day": of.day, "device_type": cell, **values} for cell, values in cells.items()]
    unexpected = {name for row in rows for name in row} - set(UTILISATION_DAY_SCHEMA.names)
    if unexpected:
        raise ReleaseRefused(f"{of.key}: recorded cells have {sorted(unexpected)}, which the release does not")
    return pa.Table.from_pylist(rows, schema=UTILISATION_DAY_SCHEMA)
