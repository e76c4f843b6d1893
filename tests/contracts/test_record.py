"""The record and the tables: one definition, the same in Arrow, msgspec, the ledger and Postgres."""

import re

import msgspec
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from contracts import derived
from contracts.columns import Privacy, in_schema
from contracts.ddl import fleet, privacy, world
from contracts.identity import record_id
from contracts.ledger import LandedObject, LeaseRow, LedgerEntry, lease_item, lease_row, ledger_entry, ledger_item
from contracts.names import landing_key, padded_sequence
from contracts.record import CONTRACT, LANDING, LANDING_SCHEMA, NULLABLE_LANDING_SCHEMA, READINGS, Record


def test_the_struct_has_the_contracts_fields_in_order() -> None:
    assert tuple(field.name for field in msgspec.structs.fields(Record)) == tuple(column.name for column in CONTRACT)


def test_a_full_record_decodes() -> None:
    record = msgspec.json.decode(
        b'{"device_id":"d","ts":"2026-01-01T00:00:00Z","lat":1,"signals":{"a":1}}', type=Record
    )
    assert (record.device_id, record.lat, record.signals) == ("d", 1.0, {"a": 1.0})


def test_every_reading_has_a_unit_and_bounds() -> None:
    assert all(column.unit and column.low is not None and column.high is not None for column in READINGS)


def test_every_column_has_a_privacy_class_and_only_aggregates_are_released() -> None:
    assert all(field.metadata[b"privacy"] for field in LANDING_SCHEMA)
    assert {column.privacy for column in derived.UTILISATION_DAY} == {Privacy.AGGREGATE}
    assert not any(column.privacy is Privacy.AGGREGATE for column in (*LANDING, *derived.TRIP, *derived.DEVICE_DAY))


def test_event_ids_and_hashes_cannot_collide() -> None:
    hashed = record_id(None, b"x")
    assert record_id(hashed, b"x") != hashed
    assert record_id(None, b"x") == hashed != record_id(None, b"y")


@given(st.integers(0, 10**55), st.integers(0, 10**55))
def test_padded_sequences_sort_as_integers(a: int, b: int) -> None:
    assert (padded_sequence(str(a)) < padded_sequence(str(b))) == (a < b)


def test_a_landing_key_is_as_documented() -> None:
    from datetime import UTC, datetime

    key = landing_key(datetime(2026, 1, 2, 3, tzinfo=UTC), "shardId-000000000001", "495", "499", 7)
    assert key == "landing/telemetry/dt=2026-01-02/hour=03/shardId-000000000001-495-499-7.parquet"


def test_ledger_entries_and_leases_survive_dynamodb_items() -> None:
    landed = LandedObject(key="k", kind="landed", hour_ms=3_600_000, rows=2, bytes=3, sha256="0", min_ts_ms=1)
    entry = LedgerEntry(
        shard_id="s", after_seq="", last_seq="12", fence=1, worker="w", committed_ms=5, kinesis_records=2,
        user_records=3, landed=2, rejected={"not_json": 1}, suppressed=0, watermark_ms=9, objects=[landed],
    )  # fmt: skip
    assert ledger_entry(ledger_item(entry)) == entry
    assert ledger_item(entry)["last_seq"]["S"] == padded_sequence("12")
    row = LeaseRow(shard_id="s", owner="w", fence=3, parents=["a", "b"], ended=True, records_per_s=1.5)
    assert lease_row(lease_item(row)) == row


def test_the_ddl_may_run_again() -> None:
    for text in (fleet(), privacy(), world()):
        bare = re.sub(r"\$\$.*?\$\$", "$$", re.sub(r"--.*", "", text), flags=re.DOTALL)
        for statement in filter(str.strip, bare.split(";")):
            repeatable = (
                r"\s*(create (table|schema|index|unique index|sequence) if not exists|create or replace"
                r"|grant|alter|revoke|comment on|do \$\$|insert into [^;]+ where not exists)"
            )
            assert re.match(repeatable, statement), statement


def test_arrow_types_are_those_iceberg_and_postgres_share() -> None:
    assert LANDING_SCHEMA.field("ts").type == pa.timestamp("us", tz="UTC")
    assert LANDING_SCHEMA.field("device_id").nullable is False


def test_rows_of_an_older_contract_are_brought_into_the_schema_of_today() -> None:
    old = pa.table({"sub_sequence": pa.array([1], pa.int64()), "gone": ["x"], "device_id": ["d"]})
    rows = in_schema(old, NULLABLE_LANDING_SCHEMA)
    assert rows.schema.equals(NULLABLE_LANDING_SCHEMA, check_metadata=True)
    assert {k: v for k, v in rows.to_pylist()[0].items() if v is not None} == {"sub_sequence": 1, "device_id": "d"}
    assert in_schema(rows, NULLABLE_LANDING_SCHEMA) is rows
