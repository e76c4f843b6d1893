"""Publishing a day's release: from the region's marts, through the policy, to the region's prefix of the exchange."""

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

import boto3
import msgspec
import psycopg
import pyarrow as pa
import structlog

from contracts.derived import UTILISATION_DAY_SCHEMA
from contracts.errors import Misuse, ReleaseRefused
from contracts.settings import RegionSettings
from lake.database import transaction
from marts.load import mark_applied
from release.exchange import (
    RELEASE,
    ReleaseKey,
    checked,
    encode,
)
from release.marks import contributors, marker
from release.policy import DeviceUse, Policy
from release.versions import (
    RESIDUAL,
    Version,
    in_force,
    next_versions,
)

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


_DUE = """
    select m.day from ops.applied m
    left join ops.applied r on r.target = %(release)s and r.day = m.day
    where m.target = 'marts' and m.day <= %(newest)s and (r.sequence is null or r.sequence < m.sequence)
    order by m.day
"""


def due_releases(settings: RegionSettings, today: date | None = None) -> list[date]:
    """Business days that are final and whose marts are newer than their release, in order.

    today: the region's business day; now in its time zone where it is left out.
    """
    values = {"release": RELEASE, "newest": _newest(settings, today)}
    with transaction(settings) as connection:
        return [day for (day,) in connection.execute(_DUE, values)]


def publish_day(settings: RegionSettings, day: date, today: date | None = None) -> ReleaseReport:
    """Publish what the policy allows of `day`, and record it. May be repeated, killed, and run twice at once.

    Versions are recorded before the object is put, and the object is made from the recorded versions: nothing can
    have been public that a later publication is not compared with, and a repeated one puts the same bytes.
    Raises Misuse where the day has no marts, ReleaseRefused where it is too young or breaks the release's schema.
    """
    if day > _newest(settings, today):
        raise ReleaseRefused(f"{day} did not end {settings.release_delay_days} days ago; publish it when it is older")
    with psycopg.connect(settings.privacy_dsn.get_secret_value(), autocommit=True) as privacy:
        privacy.execute("select pg_advisory_lock(hashtextextended(%s, 0))", [f"release/{RELEASE}/{day}"])
        with transaction(settings) as fleet:
            sequence = _marts_sequence(fleet, day)
            uses = _uses(fleet, day)
        recorded = _recorded(privacy, day)
        policy = Policy(settings.cohort_size, settings.dominance_share)
        key = settings.release_key.get_secret_value().encode()
        new = next_versions(uses, recorded, policy, marker(key, RELEASE, day))
        versions = [*recorded, *new]
        of = ReleaseKey(settings.region, RELEASE, day)
        data = encode(checked(_table(of, in_force(versions)), of))
        _record(privacy, day, new)
        _put(settings, of.key, data)
        report = _report(of, versions, restated=len(new) if in_force(recorded) else 0)
        with transaction(settings) as fleet:
            mark_applied(fleet, RELEASE, day, sequence, report.published)
    _log.info("release_published", region=report.region, day=str(day), **report.metadata())
    return report


def _newest(settings: RegionSettings, today: date | None) -> date:
    """The youngest day that ended as long ago as a release waits: then it is final, as `is_final` in a mart says."""
    today = today or datetime.now(UTC).astimezone(settings.row.zone).date()
    return today - timedelta(days=settings.release_delay_days + 1)


def _marts_sequence(fleet: psycopg.Connection, day: date) -> int:
    found = fleet.execute("select sequence from ops.applied where target = 'marts' and day = %s", [day]).fetchone()
    if found is None:
        raise Misuse(f"{day} has no marts yet; build them before its release")
    return int(found[0])


_USES = """
    select
        'd:' || used.device_id,
        coalesce(device.type, 'unknown'),
        coalesce(
            (select array_agg('s:' || tied.subject_id) from registry.device_subject as tied
            where tied.device_id = used.device_id),
            array['d:' || used.device_id]
        ),
        used.records, used.engine_s, used.moving_s, used.distance_gps_km
    from marts.device_day as used
    left join registry.device as device on device.device_id = used.device_id
    where used.day = %s
    order by used.device_id
"""


def _uses(fleet: psycopg.Connection, day: date) -> list[DeviceUse]:
    return [DeviceUse(name, kind, tuple(who), *amounts) for name, kind, who, *amounts in fleet.execute(_USES, [day])]


def _recorded(privacy: psycopg.Connection, day: date) -> list[Version]:
    """A version of before devices were remembered can be compared with nothing: it stands, as a frozen one."""
    rows = privacy.execute(
        """select cell, version, coalesce(devices, '{}'), published, frozen or devices is null from privacy.release_cell
        where release = %s and day = %s order by cell, version""",
        [RELEASE, day],
    )
    return [
        Version(cell, version, frozenset(map(bytes, marks)), published, frozen)
        for cell, version, marks, published, frozen in rows
    ]


def _record(privacy: psycopg.Connection, day: date, versions: Iterable[Version]) -> None:
    with privacy.transaction():
        for one in versions:
            published = None if one.published is None else json.dumps(dict(one.published))
            privacy.execute(
                """insert into privacy.release_cell (release, day, cell, version, contributors, devices, published)
                values (%s, %s, %s, %s, %s, %s, %s)""",
                [
                    *(RELEASE, day, one.cell, one.version),
                    *(sorted(contributors(one.marks)), sorted(one.marks), published),
                ],
            )


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
