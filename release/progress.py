"""What a region's databases record about releases: days that are due (ops.applied), cells published (release_cell)."""

import json
from collections.abc import Iterable
from datetime import date

import psycopg

from contracts.errors import Misuse
from release.exchange import RELEASE
from release.marks import contributors
from release.policy import DeviceUse
from release.versions import Version

_DUE = """
    select m.day from ops.applied m
    left join ops.applied r on r.target = %(release)s and r.day = m.day
    where m.target = 'marts' and m.day <= %(newest)s and (r.sequence is null or r.sequence < m.sequence)
    order by m.day
"""


def due_days(fleet: psycopg.Connection, newest: date) -> list[date]:
    """Business days up to `newest` whose marts are newer than their release, in order."""
    return [day for (day,) in fleet.execute(_DUE, {"release": RELEASE, "newest": newest})]


def marts_sequence(fleet: psycopg.Connection, day: date) -> int:
    """The sequence that the day's marts were built at. Raises Misuse where it has none."""
    found = fleet.execute("select sequence from ops.applied where target = 'marts' and day = %s", [day]).fetchone()
    if found is None:
        raise Misuse(f"{day} has no marts yet; build them before its release")
    return int(found[0])


def mark_released(fleet: psycopg.Connection, day: date, sequence: int, cells: int) -> None:
    """Record that the day's release, of so many cells, was made from marts at `sequence`; never backwards."""
    fleet.execute("select ops.mark_applied(%s, %s, %s, %s)", [RELEASE, day, sequence, cells])


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


def device_uses(fleet: psycopg.Connection, day: date) -> list[DeviceUse]:
    """The devices of the day's mart, each with its contributors."""
    return [DeviceUse(name, kind, tuple(who), *amounts) for name, kind, who, *amounts in fleet.execute(_USES, [day])]


def lock_day(privacy: psycopg.Connection, day: date) -> None:
    """Wait until nobody else publishes this day. Held until the connection closes."""
    privacy.execute("select pg_advisory_lock(hashtextextended(%s, 0))", [f"release/{RELEASE}/{day}"])


def recorded_versions(privacy: psycopg.Connection, day: date) -> list[Version]:
    """Every version of the day's cells.

    A version from before devices were remembered cannot be compared with anything: it counts as frozen.
    """
    rows = privacy.execute(
        """select cell, version, coalesce(devices, '{}'), published, frozen or devices is null from privacy.release_cell
        where release = %s and day = %s order by cell, version""",
        [RELEASE, day],
    )
    return [
        Version(cell, version, frozenset(map(bytes, marks)), published, frozen)
        for cell, version, marks, published, frozen in rows
    ]


def record_versions(privacy: psycopg.Connection, day: date, versions: Iterable[Version]) -> None:
    """Add these versions to the day's, in one transaction."""
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
