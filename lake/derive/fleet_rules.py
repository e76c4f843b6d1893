"""Rules of trips by fleet: registry.fleet has them, the registry says which devices are the fleet's."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date

import psycopg

from contracts.errors import BadSettings
from contracts.settings import LakeSettings
from lake.database import transaction
from lake.derive.motion.rules import FleetRules, Limits, TripRules, trip_rules
from lake.derive.progress import derive_again, known_days, lock_harvest

_SET = {
    "stop_s": "update registry.fleet set trip_stop_s = %s where fleet_id = %s",
    "gap_s": "update registry.fleet set trip_gap_s = %s where fleet_id = %s",
    "least_m": "update registry.fleet set trip_least_m = %s where fleet_id = %s",
    "least_s": "update registry.fleet set trip_least_s = %s where fleet_id = %s",
}
"""By the name of the rule."""
_FLEETS = """select fleet_id, trip_stop_s, trip_gap_s, trip_least_m, trip_least_s from registry.fleet
    where num_nonnulls(trip_stop_s, trip_gap_s, trip_least_m, trip_least_s) > 0 order by fleet_id"""
_FLEET = "select fleet_id, trip_stop_s, trip_gap_s, trip_least_m, trip_least_s from registry.fleet where fleet_id = %s"
_DEVICES = "select device_id from registry.device where fleet_id = %s"


def with_fleets(settings: LakeSettings, rules: TripRules) -> TripRules:
    """The region's rules with those of devices whose fleet has rules of its own, by the registry as it is now.

    Raises BadSettings where a fleet's rules do not fit the region's.
    """
    of_devices: dict[str, Limits] = {}
    with transaction(settings) as connection:
        for fleet in _fleets(connection):
            limits = rules.of_fleet(fleet)
            of_devices |= {device: limits for (device,) in connection.execute(_DEVICES, [fleet.fleet_id]).fetchall()}
    return replace(rules, of_devices=of_devices)


def fleet_rules(settings: LakeSettings) -> list[FleetRules]:
    """The fleets that have rules of their own."""
    with transaction(settings) as connection:
        return _fleets(connection)


def set_rules(settings: LakeSettings, fleet_id: str, rules: Mapping[str, float | None], since: date | None) -> int:
    """Give the fleet rules, and make the business days from `since` on due, all of them if None; how many days.

    rules: by name, None is the region's again. Both in one transaction: a derivation under way, which read the rules
    as they were, leaves these days due. Raises BadSettings where there is no such fleet, and where its rules do not fit
    the region's.
    """
    with transaction(settings) as connection:
        cursor = lock_harvest(connection)
        for name, value in rules.items():
            connection.execute(_SET[name], [value, fleet_id])
        row = connection.execute(_FLEET, [fleet_id]).fetchone()
        if row is None:
            raise BadSettings(f"region {settings.region} has no fleet {fleet_id!r}: it comes with its first device")
        trip_rules(settings).of_fleet(FleetRules(*row))
        days = {day for day in known_days(connection) if since is None or day >= since}
        derive_again(connection, dict.fromkeys(days, cursor.sequence if cursor else 0))
    return len(days)


def _fleets(connection: psycopg.Connection) -> list[FleetRules]:
    return [FleetRules(*row) for row in connection.execute(_FLEETS).fetchall()]
