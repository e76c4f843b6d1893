"""The reconciliation of one region: R0 to R6, in an order that stays true while records move on."""

from datetime import UTC, datetime, timedelta
from time import perf_counter
from typing import Any

import boto3
import msgspec
import psycopg
import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.table import Table

from contracts.derived import DEVICE_DAY_SCHEMA, EPISODE_SCHEMA, FAULT_DAY_SCHEMA, TRIP_SCHEMA
from contracts.ledger import LANDED, hour_of
from contracts.names import DEVICE_DAY_TABLE, EPISODE_TABLE, FAULT_DAY_TABLE, HISTORY_TABLE, TRIP_TABLE
from contracts.settings import RegionSettings
from reconcile.acknowledged import check_acknowledged
from reconcile.beginning import expired, while_nothing_is_removed
from reconcile.days import check_days
from reconcile.history import Seen, check_history
from reconcile.landed import Landed, check_taken_in
from reconcile.ledger import LedgerState, check_chain, check_sums, read_ledger
from reconcile.losses import CHECKS, Accepted
from reconcile.marts import check_marts
from reconcile.model import STAGES, WAITING, Findings, Reconciliation
from reconcile.objects import Objects, check_objects
from reconcile.ops import SUMMED, Ops, read_ops, read_rederived
from reconcile.proof import Bound, Proof, SeenObject, keep_proof, read_proof
from reconcile.stores import iceberg_catalog, object_store
from reconcile.stream import check_stream

_OF_DATA = ("R2", "R3", "R4", "R5")
"""Checks that a proof of what is new does in part."""


def reconcile(settings: RegionSettings, *, whole: bool = False) -> Reconciliation:
    """Count every stage of the region from its own store, compare, and write the result to ops.reconciliation.

    Landing and history are read as far as the last reconciliation that agreed has not seen them; all of them where
    `whole` is asked for, where none has agreed yet, where the last whole one is older than FLEETLAKE_WHOLE_PROOF_DAYS,
    and where what is new does not agree. Stores are read against the direction in which records travel (marts and
    progress, history, ledger, bucket, stream), so that whatever a later store counts, an earlier one has too: it may
    run beside the consumer and `process`. Days and objects that move meanwhile are noted, not compared.
    """
    with while_nothing_is_removed(settings):
        proof = None if whole else _still_good(settings, read_proof(settings))
        before = read_proof(settings) if proof is None else proof
        result, made = _reconcile(settings, proof)
        if proof is not None and any(sentence.startswith(_OF_DATA) for sentence in result.differences):
            result, made = _reconcile(settings, None)
        _record(settings, result, made if result.ok else None, before)
        return result


def _still_good(settings: RegionSettings, proof: Proof | None) -> Proof | None:
    """The proof, if it is not older than a whole one may be."""
    if proof is None or datetime.now(UTC) - proof.whole_at > timedelta(days=settings.whole_proof_days):
        return None
    return proof


def _reconcile(settings: RegionSettings, proof: Proof | None) -> tuple[Reconciliation, Proof]:
    """The result, and the proof that it makes if it agrees."""
    began, began_at = perf_counter(), datetime.now(UTC)
    findings = Findings()
    store = object_store(settings)
    dynamodb = boto3.client("dynamodb", **settings.dynamodb.client_kwargs(settings.row.aws_region))

    ops = read_ops(settings)
    findings.accepted = Accepted(ops.accepted)
    findings.count("forgotten", 0)
    with iceberg_catalog(settings) as source:
        history = _table(source, settings.identifier(HISTORY_TABLE))
        bound = Bound(str(history.metadata.table_uuid) if history else "", settings.row.time_zone, len(ops.accepted))
        proof = proof if proof and proof.bound == bound else None
        derived = {
            "device_day": _rows(source, settings.identifier(DEVICE_DAY_TABLE), DEVICE_DAY_SCHEMA, ("device_id", "day")),
            "trip": _rows(source, settings.identifier(TRIP_TABLE), TRIP_SCHEMA, ("day",)),
            "episode": _rows(source, settings.identifier(EPISODE_TABLE), EPISODE_SCHEMA, ("day",)),
            "fault_day": _rows(source, settings.identifier(FAULT_DAY_TABLE), FAULT_DAY_SCHEMA, ("day",)),
        }
    rederived = read_rederived(settings, ops)
    state = read_ledger(dynamodb, settings.region, ops.beginnings)

    check_chain(state, findings)
    check_sums(state, findings)
    wholly_merged = {item.key: item.merged == item.rows for item in ops.landed}
    may_be_gone = expired(settings, state.all_entries(), wholly_merged)
    objects = check_objects(settings, store, dynamodb, state, may_be_gone, proof, findings)
    gone = objects.gone
    check_acknowledged(ops.acknowledged, check_stream(settings, state, findings), findings)
    check_taken_in(state, ops.landed, ops.cursors, findings)
    landed = [item for item in _all_landed(state, ops) if item.key not in gone]
    rows_gone = sum(item.rows for item in gone.values() if item.kind == LANDED)
    rows_gone += sum(beginning.landed for beginning in ops.beginnings.values())
    seen = check_history(settings, store, history, landed, ops.merges, objects, rows_gone, ops.expired, proof, findings)
    _check_first_sum(findings)
    waiting = check_days(settings, history, derived["device_day"], ops, rederived, seen, findings)
    check_marts(derived, ops, waiting | rederived, findings)
    if proof is not None:
        findings.note("R4", _said(proof, seen))
    for loss in ops.accepted:
        findings.note(CHECKS[loss.kind], loss.sentence())

    result = Reconciliation(
        region=settings.region,
        ok=not findings.differences,
        stages={stage: findings.stages[stage] for stage in (*STAGES, *WAITING)},
        differences=findings.differences,
        notes=findings.notes,
        seconds=round(perf_counter() - began, 3),
        losses=findings.losses,
        whole=proof is None,
    )
    made = Proof(
        bound=bound,
        whole_at=proof.whole_at if proof else began_at,
        days={day: one for day, one in seen.days.items() if day not in seen.unsettled},
        objects=seen.objects | _rejected(state, objects),
    )
    return result, made


def _said(proof: Proof, seen: Seen) -> str:
    kept = sum(proof.days.get(day) is one for day, one in seen.days.items())
    return (
        f"event days of history that are as they were when all was last proven or since: {kept} of {len(seen.days)}; "
        f"the others were read. All of it was last read at {proof.whole_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    )


def _rejected(state: LedgerState, objects: Objects) -> dict[str, SeenObject]:
    """The objects of rejected records, whose footers hold the rows that the ledger says if R2 agrees."""
    made = [item for entry in state.all_entries() for item in entry.objects if item.kind != LANDED]
    listed = objects.listed
    return {
        item.key: SeenObject(listed[item.key].size, listed[item.key].etag, item.rows)
        for item in made
        if item.key in listed
    }


def _check_first_sum(findings: Findings) -> None:
    stages = findings.stages
    ended = stages["landed"] + stages["rejected"] + stages["suppressed"]
    if stages["stream"] + stages["forgotten"] != ended:
        findings.differs(
            "R0",
            f"the stream holds {stages['stream']:,} user records up to the leases' positions, {stages['forgotten']:,} "
            f"are accepted as forgotten, but landed, rejected and suppressed make {ended:,}; the differences of R0 to "
            "R3 say where",
        )


def _all_landed(state: LedgerState, ops: Ops) -> list[Landed]:
    """The ledger's landed objects, with what ops.landing_object says became of them."""
    marks = {item.key: item for item in ops.landed}
    return [
        marks.get(item.key)
        or Landed(
            key=item.key,
            hour=hour_of(item.hour_ms),
            rows=item.rows,
            stragglers=item.stragglers,
            on_time_merged=False,
            stragglers_merged=False,
            committed_at=datetime.fromtimestamp(entry.committed_ms / 1000, UTC),
        )
        for entry in state.all_entries()
        for item in entry.objects
        if item.kind == LANDED
    ]


def _table(source: Catalog | None, name: str) -> Table | None:
    try:
        return source.load_table(name) if source else None
    except NoSuchTableError:
        return None


def _rows(source: Catalog | None, name: str, schema: pa.Schema, keys: tuple[str, ...]) -> pa.Table:
    """Keys and summed columns of all rows: what the checks need, in the contract's types."""
    columns = (*keys, *SUMMED[name.rpartition(".")[2]])
    wanted = pa.schema([schema.field(column).with_nullable(True) for column in columns])
    table = _table(source, name)
    if table is None:
        return wanted.empty_table()
    return table.scan(selected_fields=columns).to_arrow().select(columns).cast(wanted)


def _record(settings: RegionSettings, result: Reconciliation, made: Proof | None, before: Proof | None) -> None:
    with psycopg.connect(settings.postgres_dsn.get_secret_value()) as postgres:
        postgres.execute(
            "insert into ops.reconciliation (reconciled_at, ok, stages, differences, began_at) "
            "values (clock_timestamp(), %s, %s, %s, clock_timestamp() - make_interval(secs => %s))",
            [result.ok, _json(result.stages), _json(result.differences), result.seconds],
        )
        if made is not None:
            keep_proof(postgres, made, before)


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
