"""Acts on devices' access, each one transaction with its row in the audit."""

import csv
import getpass
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg

from contracts.derived import DEVICE_TYPES
from contracts.errors import BadInputFile, BadSettings, Misuse, StoreUnavailable
from contracts.record import DEVICE_ID_PATTERN
from contracts.settings import RegionSettings
from gateway.identity.authority import authority_id
from gateway.identity.jwt import public_key
from gateway.identity.model import Access
from gateway.identity.registry import PROVISIONING
from gateway.identity.tokens import new_token, token_hash

COLUMNS = ("device_id", "fleet_id", "type", "make", "model", "fuel")
"""Columns of a file of devices; the first two are required."""
_DEVICE_ID = re.compile(DEVICE_ID_PATTERN)
_HEX = re.compile("[0-9a-f]{1,64}")
_SHA256_DIGITS = 64
_DEVICE = """
insert into registry.device (device_id, fleet_id, type, make, model, fuel) values (%s, %s, %s, %s, %s, %s)
on conflict (device_id) do update set (fleet_id, type, make, model, fuel)
  = (excluded.fleet_id, excluded.type, excluded.make, excluded.model, excluded.fuel)
"""
_LIST = """
select d.device_id, d.fleet_id, d.type, d.access,
    (select count(*) from registry.device_token t
      where t.device_id = d.device_id and t.revoked_at is null and coalesce(t.expires_at > now(), true)),
    l.reason, l.refused_at
from registry.device d left join registry.last_refusal l using (device_id)
where (%(fleet)s::text is null or d.fleet_id = %(fleet)s) and (%(access)s::text is null or d.access = %(access)s)
order by d.device_id limit %(most)s
"""
_WHY = """
select d.fleet_id, d.access, l.refused_at, l.protocol, l.reason, l.detail, l.refusals,
    (select count(*) from registry.device_token t where t.device_id = d.device_id and t.revoked_at is null)
from registry.device d left join registry.last_refusal l using (device_id) where d.device_id = %s
"""


@dataclass(frozen=True, slots=True)
class NewDevice:
    """A device to enter."""

    device_id: str
    fleet_id: str
    type: str = "unknown"
    make: str | None = None
    model: str | None = None
    fuel: str | None = None


def add(settings: RegionSettings, devices: Sequence[NewDevice]) -> int:
    """Enter devices and fleets that are new, and update those that differ; all or none."""
    for device in devices:
        if not _DEVICE_ID.fullmatch(device.device_id):
            raise Misuse(f"{device.device_id!r} is no device id: 1 to 128 of A-Z a-z 0-9 . _ : -")
        if device.type not in DEVICE_TYPES:
            raise Misuse(f"{device.device_id}: there is no type {device.type!r}; there are {', '.join(DEVICE_TYPES)}")
    with registry(settings) as connection, connection.cursor() as cursor:
        fleets = sorted({device.fleet_id for device in devices})
        cursor.executemany(
            "insert into registry.fleet (fleet_id, name) values (%s, %s) on conflict do nothing",
            [(fleet, fleet) for fleet in fleets],
        )
        rows = [(one.device_id, one.fleet_id, one.type, one.make, one.model, one.fuel) for one in devices]
        cursor.executemany(_DEVICE, rows)
        audit(cursor, "add", [one.device_id for one in devices])
    return len(devices)


def read_devices(path: Path) -> Iterator[NewDevice]:
    """The devices of a CSV file with a header. Raises BadInputFile."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file)
            names = set(rows.fieldnames or ())
            if not {"device_id", "fleet_id"} <= names or names - set(COLUMNS):
                raise BadInputFile(f"{path}: the columns are {', '.join(COLUMNS)}, of which the first two are required")
            for row in rows:
                yield NewDevice(**{name: value for name, value in row.items() if value and name})
    except (OSError, UnicodeDecodeError, csv.Error, TypeError) as error:
        raise BadInputFile(f"{path} cannot be read as devices ({type(error).__name__})") from None


def set_access(settings: RegionSettings, device_ids: Sequence[str], access: Access) -> None:
    """Let devices in, or revoke their access. Raises Misuse for a device that is not there."""
    with registry(settings) as connection, connection.cursor() as cursor:
        cursor.execute(
            "update registry.device set access = %s where device_id = any(%s) returning device_id",
            [str(access), list(device_ids)],
        )
        _check_known(device_ids, [row[0] for row in cursor.fetchall()], settings)
        audit(cursor, "revoke" if access is Access.REVOKED else "activate", device_ids)


def revoke_certificate(settings: RegionSettings, device_id: str, certificate: str) -> str:
    """Revoke one certificate of a device, by its SHA-256 or serial number in hex; how it is written down.

    The device goes on with its other certificates, so that a new one can follow an old one.
    """
    name = certificate.replace(":", "").lower().removeprefix("0x")
    if not _HEX.fullmatch(name):
        raise Misuse(f"{certificate!r} is neither the SHA-256 of a certificate nor its serial number, in hex")
    name = name if len(name) == _SHA256_DIGITS else name.lstrip("0")
    with registry(settings) as connection, connection.cursor() as cursor:
        cursor.execute("select device_id from registry.device where device_id = %s", [device_id])
        _check_known([device_id], [row[0] for row in cursor.fetchall()], settings)
        insert = "insert into registry.revoked_certificate (device_id, certificate) values (%s, %s)"
        cursor.execute(f"{insert} on conflict do nothing", [device_id, name])
        audit(cursor, "revoke-certificate", [device_id], name)
    return name


def make_token(settings: RegionSettings, device_id: str, *, days: float | None, replace: bool) -> str:
    """A new token, which is shown once. replace: the device's earlier tokens are revoked; else they go on."""
    key = settings.gateway.credential_key
    if key is None:
        raise BadSettings("FLEETLAKE_GATEWAY_CREDENTIAL_KEY is not set; run 'fleetlake up' (see docs/settings.md)")
    token = new_token()
    expires_at = None if days is None else datetime.now(UTC) + timedelta(days=days)
    hashed = token_hash(key.get_secret_value(), device_id, token.encode())
    with registry(settings) as connection, connection.cursor() as cursor:
        cursor.execute("select device_id from registry.device where device_id = %s", [device_id])
        _check_known([device_id], [row[0] for row in cursor.fetchall()], settings)
        if replace:
            revoke = "update registry.device_token set revoked_at = now() where device_id = %s and revoked_at is null"
            cursor.execute(revoke, [device_id])
        insert = "insert into registry.device_token (device_id, hash, expires_at) values (%s, %s, %s)"
        cursor.execute(insert, [device_id, hashed, expires_at])
        audit(cursor, "token", [device_id], "replaces earlier ones" if replace else "")
    return token


def add_key(settings: RegionSettings, device_id: str, key: str) -> None:
    """Register a public key whose JWTs speak for the device. Raises Misuse for what cannot sign here."""
    try:
        pem = public_key(key)
    except ValueError:
        raise Misuse("the file is no public key in PEM, or neither P-256 nor Ed25519") from None
    with registry(settings) as connection, connection.cursor() as cursor:
        cursor.execute("select device_id from registry.device where device_id = %s", [device_id])
        _check_known([device_id], [row[0] for row in cursor.fetchall()], settings)
        cursor.execute("insert into registry.device_key (device_id, public_key) values (%s, %s)", [device_id, pem])
        audit(cursor, "add-key", [device_id])


def revoke_keys(settings: RegionSettings, device_id: str) -> int:
    """Revoke every public key of a device; how many there were."""
    with registry(settings) as connection, connection.cursor() as cursor:
        revoke = "update registry.device_key set revoked_at = now() where device_id = %s and revoked_at is null"
        cursor.execute(revoke, [device_id])
        revoked = cursor.rowcount
        audit(cursor, "revoke-keys", [device_id])
    return revoked


def speak_for(settings: RegionSettings, concentrator: str, device_ids: Sequence[str]) -> None:
    """Let a concentrator speak for these devices."""
    with registry(settings) as connection, connection.cursor() as cursor:
        wanted = [concentrator, *device_ids]
        cursor.execute("select device_id from registry.device where device_id = any(%s)", [wanted])
        _check_known(wanted, [row[0] for row in cursor.fetchall()], settings)
        cursor.executemany(
            "insert into registry.speaks_for (concentrator, device_id) values (%s, %s) on conflict do nothing",
            [(concentrator, device_id) for device_id in device_ids],
        )
        audit(cursor, "speaks-for", device_ids, f"concentrator {concentrator}")


def add_ca(settings: RegionSettings, fleet_id: str, certificate: str, provisioning: str | None = None) -> str:
    """Believe a CA's certificates of a fleet's devices; its id. Raises Misuse for what is no certificate.

    provisioning: what becomes of devices that the registry does not know; None leaves the fleet's as it is.
    """
    if provisioning is not None and provisioning not in PROVISIONING:
        raise Misuse(f"--provisioning {provisioning!r} is none of {', '.join(PROVISIONING)}")
    try:
        ca_id = authority_id(certificate)
    except ValueError:
        raise Misuse("the file is no certificate in PEM") from None
    with registry(settings) as connection, connection.cursor() as cursor:
        cursor.execute(
            "insert into registry.fleet as f (fleet_id, name, provisioning) values (%s, %s, coalesce(%s, 'refuse')) "
            "on conflict (fleet_id) do update set provisioning = coalesce(%s, f.provisioning)",
            [fleet_id, fleet_id, provisioning, provisioning],
        )
        cursor.execute(
            "insert into registry.fleet_ca (ca_id, fleet_id, certificate) values (%s, %s, %s) "
            "on conflict (ca_id) do update set fleet_id = excluded.fleet_id, removed_at = null",
            [ca_id, fleet_id, certificate],
        )
        audit(cursor, "add-ca", [None], ca_id, fleet_id)
    return ca_id


def remove_ca(settings: RegionSettings, ca_id: str) -> None:
    """Believe a CA no longer: sessions by its certificates end."""
    with registry(settings) as connection, connection.cursor() as cursor:
        remove = "update registry.fleet_ca set removed_at = now() where ca_id = %s and removed_at is null"
        cursor.execute(f"{remove} returning fleet_id", [ca_id])
        row = cursor.fetchone()
        if row is None:
            raise Misuse(f"region {settings.region} has no CA {ca_id}")
        audit(cursor, "remove-ca", [None], ca_id, row[0])


def list_devices(settings: RegionSettings, *, fleet: str | None, access: str | None, most: int) -> list[dict[str, Any]]:
    """Devices with their access, tokens that hold, and last refusal."""
    names = ("device_id", "fleet_id", "type", "access", "tokens", "last_refusal", "refused_at")
    with registry(settings) as connection:
        rows = connection.execute(_LIST, {"fleet": fleet, "access": access, "most": most}).fetchall()
    return [dict(zip(names, row, strict=True)) for row in rows]


def why(settings: RegionSettings, device_id: str) -> dict[str, Any]:
    """What the registry says of a device, and why it was refused last. Raises Misuse for an unknown device."""
    names = ("fleet_id", "access", "refused_at", "protocol", "reason", "detail", "refusals", "tokens")
    with registry(settings) as connection:
        row = connection.execute(_WHY, [device_id]).fetchone()
    if row is None:
        raise Misuse(f"region {settings.region} has no device {device_id}: it is refused as unknown")
    return {"device_id": device_id, **dict(zip(names, row, strict=True))}


@contextmanager
def registry(settings: RegionSettings) -> "Iterator[psycopg.Connection[Any]]":
    """A transaction on the region's registry. Raises StoreUnavailable where Postgres does not answer."""
    try:
        with psycopg.connect(settings.postgres_dsn.get_secret_value(), connect_timeout=10) as connection:
            yield connection
    except psycopg.OperationalError:
        raise StoreUnavailable(f"Postgres of region {settings.region} does not answer") from None


def audit(
    cursor: "psycopg.Cursor[Any]",
    act: str,
    device_ids: "Iterable[str] | Iterable[None]",
    detail: str = "",
    fleet_id: str | None = None,
) -> None:
    """A row a device, in the transaction of the act."""
    cursor.executemany(
        "insert into registry.access_audit (who, act, device_id, fleet_id, detail) values (%s, %s, %s, %s, %s)",
        [(_who(), act, device_id, fleet_id, detail) for device_id in device_ids],
    )


def _who() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


def _check_known(wanted: Sequence[str], found: Sequence[str], settings: RegionSettings) -> None:
    missing = sorted(set(wanted) - set(found))
    if missing:
        raise Misuse(f"region {settings.region} has no device {', '.join(missing[:5])}; fleetlake device add enters it")
