"""What a region's databases record about releases: days that are due (ops.applied), cells published (release_cell)."""

import json
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

import psycopg

from contracts.errors import Misuse
from release.exchange import RELEASE
from release.marks import FORM, contributors
from release.policy import DeviceUse
from release.versions import Version, in_force

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
        coalesce(used.device_type, device.type, 'unknown'),
        coalesce(
            (select array_agg('s:' || tied.subject_id) from registry.device_subject as tied
            where tied.device_id = used.device_id),
            array['d:' || used.device_id]
        ),
        used.records, used.engine_s, used.moving_s, used.distance_gps_km,
        array['f:' || coalesce(fleet.fleet_id, ''), coalesce('c:' || fleet.customer, 'f:' || fleet.fleet_id, 'f:')],
        fleet.customer
    from marts.device_day as used
    left join registry.device as device on device.device_id = used.device_id
    left join registry.fleet as fleet on fleet.fleet_id = coalesce(used.fleet_id, device.fleet_id)
    where used.day = %s
    order by used.device_id
"""


def device_uses(fleet: psycopg.Connection, day: date) -> list[tuple[DeviceUse, str | None]]:
    """The devices of the day's mart, each with its contributors and holders, and the customer whose fleet it is in.

    Devices that are in no fleet have one holder together: whoever has one may have them all.
    """
    return [
        (DeviceUse(name, kind, tuple(who), records, engine_s, moving_s, distance_km, tuple(holders)), customer)
        for name, kind, who, records, engine_s, moving_s, distance_km, holders, customer in fleet.execute(_USES, [day])
    ]


def known_kinds(fleet: psycopg.Connection) -> set[str]:
    """Kinds of device that the registry has, whether they were used or not."""
    return {kind for (kind,) in fleet.execute("select distinct type from registry.device")}


def known_customers(fleet: psycopg.Connection) -> set[str]:
    """Customers that the registry has."""
    query = "select distinct customer from registry.fleet where customer is not null"
    return {customer for (customer,) in fleet.execute(query)}


def lock_releases(privacy: psycopg.Connection) -> None:
    """Wait until nobody else publishes: days are compared with each other. Held until the connection closes."""
    privacy.execute("select pg_advisory_lock(hashtextextended(%s, 0))", ["release"])


def recorded_versions(privacy: psycopg.Connection, day: date, release: str = RELEASE) -> list[Version]:
    """Every version of the day's cells.

    A version that remembers no devices, or in an earlier form, cannot be compared with anything: it counts as frozen.
    """
    rows = privacy.execute(
        """select cell, version, coalesce(devices, '{}'), published, frozen or devices is null or form <> %s
        from privacy.release_cell where release = %s and day = %s order by cell, version""",
        [FORM, release, day],
    )
    return [
        Version(cell, version, frozenset(map(bytes, marks)), published, frozen)
        for cell, version, marks, published, frozen in rows
    ]


def published_cells(privacy: psycopg.Connection, day: date, release: str) -> dict[str, Mapping[str, Any]]:
    """Cells of the day that are published, with their values."""
    rows = privacy.execute(
        "select cell, version, published from privacy.release_cell where release = %s and day = %s", [release, day]
    )
    return in_force(Version(cell, version, frozenset(), values) for cell, version, values in rows)


def record_versions(
    privacy: psycopg.Connection, day: date, versions: Iterable[Version], release: str = RELEASE
) -> None:
    """Add these versions to the day's, in one transaction."""
    with privacy.transaction():
        for one in versions:
            published = None if one.published is None else json.dumps(dict(one.published))
            privacy.execute(
                """insert into privacy.release_cell
                (release, day, cell, version, contributors, devices, form, published)
                values (%s, %s, %s, %s, %s, %s, %s, %s)""",
                [
                    *(release, day, one.cell, one.version),
                    *(sorted(contributors(one.marks)), sorted(one.marks), FORM, published),
                ],
            )
