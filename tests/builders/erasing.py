"""A region that knows some devices in every store that it has: what an erasure has to find."""

import gzip
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import boto3
import psycopg

from cli.erasables import erasables
from contracts.erasable import Portion, Scope
from contracts.names import stream
from contracts.registry import Device, Fleet
from contracts.settings import RegionSettings
from gateway.admin.devices import make_token, speak_for
from ingest.service.consume import consume
from lake.derive.changed_days import harvest
from lake.derive.job import derive_days
from lake.derive.progress import due_days
from lake.iceberg.tables import ensure_tables
from lake.merge.intake import due_merges
from lake.merge.job import merge_landing
from marts.applied import due_loads
from marts.load import load_days
from marts.registry import register
from privacy.erasure import run
from privacy.requests import Request, SubjectKind
from release.marks import who
from serving.stores.shares import _hashed as share_hash
from tests.builders.scene import MARTED, MARTS

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

FLEET = "ward"
OFFICER = "officer"
_OF_SCENE = ("device_day", "trip", "idling_event", "fuel_event", "fleet_day", "data_completeness_day")
"""The marts that reconciliation looks at."""


@dataclass
class Region:
    """A region of a stack, and Spark for it. Records are put on its stream and go the product's own way."""

    settings: RegionSettings
    spark: "SparkSession"

    def send(self, records: Sequence[dict[str, Any]], packed: Sequence[bytes] = ()) -> None:
        """Put records on the stream, each under its device's key, and further bytes under a key of nobody."""
        client = boto3.client("kinesis", **self.settings.kinesis.client_kwargs(self.settings.row.aws_region))
        entries = [
            {"Data": json.dumps(one).encode(), "PartitionKey": str(one.get("device_id") or "nobody")} for one in records
        ]
        entries += [{"Data": one, "PartitionKey": "nobody"} for one in packed]
        for start in range(0, len(entries), 400):
            client.put_records(StreamName=stream(self.settings.region), Records=entries[start : start + 400])

    def process(self) -> None:
        """Consume, merge, derive, load; and marts, as far as the tests look at them."""
        consume(self.settings, until_idle=True)
        self.merge()
        harvest(self.settings)
        derive_days(self.spark, self.settings, due_days(self.settings))
        load_days(self.settings, due_loads(self.settings))
        self.sql(f"drop table if exists {', '.join(f'marts.{name}' for name in _OF_SCENE)}")
        self.sql(MARTS)
        self.sql(MARTED)

    def merge(self) -> None:
        """Merge all that has landed."""
        ensure_tables(self.settings)
        due = due_merges(self.settings, datetime.now(UTC) + timedelta(days=1), open_hours=True)
        merge_landing(self.spark, self.settings, due.hours, stragglers=True)

    def register(self, devices: Sequence[str], person: str) -> None:
        """Enter devices, the first of them tied to a person, with a token, a link that shows all, and marks."""
        entered = [Device(one, FLEET, "car", subjects=(person,) if one == devices[0] else ()) for one in devices]
        register(self.settings, [Fleet(FLEET, FLEET)], entered)
        make_token(self.settings, devices[0], days=None, replace=False)
        speak_for(self.settings, devices[1], [devices[0]])
        self.sql(
            "insert into registry.share (hash, name, devices, fleets, valid_from, valid_to, created_by)"
            " values (%s, 'link', %s, %s, now(), now() + interval '1 day', 'o')",
            [share_hash(devices[0]), list(devices), [FLEET]],
        )
        self._marks(devices[0])

    def _marks(self, device: str) -> None:
        import hmac
        from hashlib import sha256

        raw, day = self.settings.release_key.get_secret_value().encode(), datetime.now(UTC).date()
        mark = who(raw, "utilisation_day", day, f"d:{device}")
        with psycopg.connect(self.settings.privacy_dsn.get_secret_value()) as privacy:
            privacy.execute(
                "insert into privacy.release_cell (release, day, cell, version, contributors, devices, published)"
                " values ('utilisation_day', %s, %s, 1, %s, %s, '{}')",
                [day, device[-8:], [mark], [mark + bytes(64)]],
            )
            privacy.execute(
                "insert into privacy.past_read (subject, token_id, role, device_hmac, what)"
                " values ('o', 't', 'r', %s, 'x')",
                [hmac.digest(raw, device.encode(), sha256)],
            )

    def export(self, device: str) -> None:
        """An export that names the device, compressed."""
        client = boto3.client("s3", **self.settings.s3.client_kwargs(self.settings.row.aws_region))
        body = gzip.compress(json.dumps({"device_id": device, "records": []}).encode())
        client.put_object(Bucket=self.settings.bucket, Key=f"exports/{len(device)}/records.json.gz", Body=body)

    def erase(self, name: str, scope: Scope, kind: SubjectKind = SubjectKind.DEVICE, **more: Any) -> Request:
        """An erasure from beginning to end, or on from where one broke off."""
        request = run.begin(self.settings, kind, name, scope, who=OFFICER)
        stores = more.pop("stores", None) or erasables(self.settings)
        return run.run(self.settings, request, stores, who=OFFICER, tell=lambda *_: None, **more)

    def sql(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """One statement in the region's database."""
        with psycopg.connect(self.settings.postgres_dsn.get_secret_value()) as connection:
            cursor = connection.execute(statement.encode(), values or None)
            return cursor.fetchall() if cursor.description else []


def stores_of(settings: RegionSettings) -> run.Stores:
    """The adapters of the region's stores, as the command puts them together."""
    return erasables(settings)


def whole(device: str) -> Scope:
    """All of a device."""
    return Scope((Portion(device),))


def drive(device: str, start: datetime, records: int, *, step_s: int = 10) -> list[dict[str, Any]]:
    """Records of a drive, as a device sends them."""
    return [
        {
            "device_id": device,
            "ts": int((start + timedelta(seconds=step_s * place)).timestamp() * 1000),
            "event_id": f"{device}-{place}-{start:%H%M%S}",
            "lat": 50.0 + place / 1000,
            "lon": 8.0,
            "speed_kmh": 40.0,
            "engine_on": True,
            "fault_codes": ["P0217"],
        }
        for place in range(records)
    ]
