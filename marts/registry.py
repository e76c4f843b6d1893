"""The registry of a region in Postgres: which fleets, devices and data subjects there are."""

from collections.abc import Iterable, Sequence

import psycopg

from contracts.errors import SinkUnavailable, StoreUnavailable
from contracts.registry import Device, Fleet
from contracts.settings import RegionSettings

_FLEET = """
insert into registry.fleet (fleet_id, name, customer) values (%s, %s, %s)
on conflict (fleet_id) do update set name = excluded.name, customer = coalesce(excluded.customer, fleet.customer)
where (fleet.name, fleet.customer) is distinct from (excluded.name, coalesce(excluded.customer, fleet.customer))
"""
_DEVICE = """
insert into registry.device (device_id, fleet_id, make, model, type, fuel) values (%s, %s, %s, %s, %s, %s)
on conflict (device_id) do update
set (fleet_id, make, model, type, fuel)
  = (excluded.fleet_id, excluded.make, excluded.model, excluded.type, excluded.fuel)
where (device.fleet_id, device.make, device.model, device.type, device.fuel)
   is distinct from (excluded.fleet_id, excluded.make, excluded.model, excluded.type, excluded.fuel)
"""
_SUBJECT = "insert into registry.subject (subject_id) values (%s) on conflict do nothing"
_TIE = "insert into registry.device_subject (device_id, subject_id) values (%s, %s) on conflict do nothing"


def register(settings: RegionSettings, fleets: Iterable[Fleet], devices: Sequence[Device]) -> None:
    """Insert or update these in registry.*, in one transaction. `partial(register, settings)` is a `Register`.

    Raises StoreUnavailable where Postgres does not answer, SinkUnavailable where it refuses.
    """
    ties = [(device.device_id, subject) for device in devices for subject in device.subjects]
    try:
        with psycopg.connect(settings.postgres_dsn.get_secret_value(), connect_timeout=10) as connection:
            cursor = connection.cursor()
            cursor.executemany(_FLEET, [(fleet.fleet_id, fleet.name, fleet.customer) for fleet in fleets])
            cursor.executemany(_DEVICE, [_row(device) for device in devices])
            cursor.executemany(_SUBJECT, [(subject,) for subject in sorted({subject for _, subject in ties})])
            cursor.executemany(_TIE, ties)
    except psycopg.OperationalError:
        raise StoreUnavailable(f"Postgres of region {settings.region} does not answer") from None
    except psycopg.Error as error:
        raise SinkUnavailable(
            f"Postgres of region {settings.region} refuses the registry ({type(error).__name__}): {error.sqlstate}"
        ) from None


def fleet_name(settings: RegionSettings, fleet_id: str) -> str:
    """The fleet's name; its id where it is not in the registry yet. Raises StoreUnavailable."""
    try:
        with psycopg.connect(settings.postgres_dsn.get_secret_value(), connect_timeout=10) as connection:
            row = connection.execute("select name from registry.fleet where fleet_id = %s", [fleet_id]).fetchone()
    except psycopg.OperationalError:
        raise StoreUnavailable(f"Postgres of region {settings.region} does not answer") from None
    return str(row[0]) if row else fleet_id


def _row(device: Device) -> tuple[str | None, ...]:
    return device.device_id, device.fleet_id, device.make, device.model, device.type, device.fuel
