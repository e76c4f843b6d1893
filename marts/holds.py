"""Legal holds, and how long fleets and devices keep their data, in the registry."""

from collections.abc import Sequence
from typing import Any

from psycopg.rows import dict_row

from contracts.errors import Misuse
from contracts.settings import RegionSettings
from lake.database import transaction

_DAYS = {
    "fleet": "update registry.fleet set retention_days = %s where fleet_id = %s",
    "device": "update registry.device set retention_days = %s where device_id = %s",
}
_PLACE = {
    "fleet": "insert into registry.legal_hold (fleet_id, reason, placed_by) values (%s, %s, %s) returning hold_id",
    "device": "insert into registry.legal_hold (device_id, reason, placed_by) values (%s, %s, %s) returning hold_id",
}
_KNOWN = {
    "fleet": "select from registry.fleet where fleet_id = %s",
    "device": "select from registry.device where device_id = %s",
}
_ON = """
select distinct h.hold_id from registry.legal_hold h where h.lifted_at is null and (
    h.device_id = any(%s) or exists (
        select from registry.device_period p where p.device_id = any(%s) and p.fleet_id = h.fleet_id
    )
) order by 1
"""


def set_days(settings: RegionSettings, kind: str, name: str, days: int | None) -> None:
    """Keep the data of a 'fleet' or a 'device' for so many days; None: as the region does. Raises Misuse."""
    with transaction(settings) as connection:
        if connection.execute(_DAYS[kind].encode(), [days, name]).rowcount == 0:
            raise Misuse(f"region {settings.region} has no {kind} {name!r} in its registry")


def place(settings: RegionSettings, kind: str, name: str, why: str, who: str) -> int:
    """Put a hold on a 'fleet' or 'device', which need not be registered; its number. Raises Misuse without a reason."""
    if not why.strip():
        raise Misuse("a hold needs a reason: --why TEXT")
    with transaction(settings) as connection:
        row = connection.execute(_PLACE[kind].encode(), [name, why, who]).fetchone()
    return int(row[0]) if row else 0


def is_known(settings: RegionSettings, kind: str, name: str) -> bool:
    """Whether the registry has this 'fleet' or 'device'."""
    with transaction(settings) as connection:
        return connection.execute(_KNOWN[kind].encode(), [name]).fetchone() is not None


def lift(settings: RegionSettings, hold_id: int, who: str) -> None:
    """Lift a hold. Raises Misuse where there is none of that number that stands."""
    query = "update registry.legal_hold set lifted_at = now(), lifted_by = %s where hold_id = %s and lifted_at is null"
    with transaction(settings) as connection:
        if connection.execute(query, [who, hold_id]).rowcount == 0:
            raise Misuse(f"no hold {hold_id} stands in region {settings.region}; list them: fleetlake retention holds")


def holds_on(settings: RegionSettings, devices: Sequence[str]) -> list[int]:
    """The numbers of holds that stand on one of these devices, or on a fleet that it is or was of."""
    with transaction(settings) as connection:
        return [number for (number,) in connection.execute(_ON, [list(devices)] * 2).fetchall()]


def refuse_held(settings: RegionSettings, devices: Sequence[str]) -> None:
    """Raises Misuse where a hold stands on one of these devices, or a fleet it is or was of: GDPR Art. 17(3)(e)."""
    if numbers := holds_on(settings, devices):
        said = ", ".join(map(str, numbers))
        raise Misuse(
            f"legal hold {said} stands on it; whoever placed it lifts it: fleetlake retention lift {numbers[0]}"
        )


def standing(settings: RegionSettings) -> list[dict[str, Any]]:
    """Holds that stand, oldest first."""
    with transaction(settings) as connection, connection.cursor(row_factory=dict_row) as cursor:
        cursor.execute("select * from registry.legal_hold where lifted_at is null order by hold_id")
        return cursor.fetchall()
