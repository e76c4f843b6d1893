"""R0: an independent reader counts the stream up to each lease's position."""

from bisect import bisect_left
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import botocore.session
import msgspec
from botocore.config import Config

from contracts.ledger import LeaseRow, LedgerEntry
from contracts.names import stream
from contracts.settings import RegionSettings
from reconcile import aggregate, packed
from reconcile.acknowledged import FromGateway
from reconcile.beginning import Beginning
from reconcile.ledger import LedgerState, number, place_of
from reconcile.losses import Loss
from reconcile.model import Findings

MOST_RECORDS = 10_000
"""Of one GetRecords answer."""


class ShardCount(msgspec.Struct, kw_only=True):
    """What one shard of the stream holds, in user records."""

    by_entry: list[int]
    """In the range of each ledger entry."""
    beyond: int = 0
    """After the lease's position: not read yet."""
    from_gateway: int = 0
    """Those that carry the gateway's tag, beyond the position too."""
    oldest: int | None = None
    """Sequence number of the oldest record that the stream still has."""


def check_stream(settings: RegionSettings, state: LedgerState, findings: Findings) -> FromGateway:
    """R0: the user records in each ledger entry's range are those that the entry counts.

    Counts the stage `stream` and the `backlog`. Entries whose records the stream's retention has trimmed are counted
    from the ledger, and a note says so. Returns what the gateway put, as far as the stream has it.
    """
    client = _client(settings)
    name = stream(settings.region)
    summary = client.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]
    may_be_trimmed = _age(summary) >= timedelta(hours=summary["RetentionPeriodHours"])
    shards, arn = _shards(client, name), summary["StreamARN"]
    # A shard that has no lease yet will be read from where the others were.
    start_ms = min((lease.start_ms for lease in state.leases.values()), default=0)

    def count(shard: str) -> ShardCount:
        lease = state.leases.get(shard)
        begins_ms = lease.start_ms if lease else start_ms
        chain, after = state.entries.get(shard, []), state.begins(shard)
        return count_shard(client, arn, shard, chain, begins_ms, settings.packings, after=after)

    with ThreadPoolExecutor(4, thread_name_prefix="count") as pool:
        counted = pool.map(count, shards)
        counts = dict(zip(shards, counted, strict=True))
    total = 0
    for shard, beginning in state.beginnings.items():
        total += _removed(shard, beginning, findings)
    for shard, chain in state.entries.items():
        total += _compare(shard, chain, counts.get(shard), state.leases.get(shard), may_be_trimmed, findings)
    backlog = sum(count.beyond for count in counts.values())
    findings.count("stream", total)
    findings.count("backlog", backlog)
    if backlog:
        findings.note("R0", f"user records on the stream that are not read yet: {backlog:,}; run the consumer")
    leases = state.leases.values()
    started_late = any(lease.start_ms or lease.earlier_seq for lease in leases)
    whole = not (may_be_trimmed or start_ms or state.beginnings or started_late)
    return FromGateway(records=sum(count.from_gateway for count in counts.values()), whole=whole)


def count_shard(
    client: Any,
    stream_arn: str,
    shard: str,
    chain: list[LedgerEntry],
    start_ms: int = 0,
    unpack: Collection[str] = (),
    *,
    after: int = 0,
) -> ShardCount:
    """Read the shard from where its reading started (LeaseRow.start_ms) to its newest record. unpack: of settings.

    after: records up to there count for no entry: maintenance has removed theirs.
    """
    ends = [number(entry.last_seq) for entry in chain]
    count = ShardCount(by_entry=[0] * len(ends))
    start: dict[str, Any] = {"ShardIteratorType": "TRIM_HORIZON"}
    if start_ms:
        start = {"ShardIteratorType": "AT_TIMESTAMP", "Timestamp": datetime.fromtimestamp(start_ms / 1000, UTC)}
    answer = client.get_shard_iterator(StreamARN=stream_arn, ShardId=shard, **start)
    iterator = answer["ShardIterator"]
    while iterator:
        answer = client.get_records(StreamARN=stream_arn, ShardIterator=iterator, Limit=MOST_RECORDS)
        for record in answer["Records"]:
            sequence = int(record["SequenceNumber"])
            if count.oldest is None:
                count.oldest = sequence
            if sequence <= after:
                continue
            place = bisect_left(ends, sequence)
            data = record["Data"]
            held = packed.user_records(data, unpack) if unpack else aggregate.user_records(data)
            count.from_gateway += aggregate.from_gateway(data)
            if place == len(ends):
                count.beyond += held
            else:
                count.by_entry[place] += held
        if not answer["Records"] and not answer.get("MillisBehindLatest"):
            break
        iterator = answer.get("NextShardIterator")
    return count


def _removed(shard: str, beginning: Beginning, findings: Findings) -> int:
    """The shard's user records that count by its beginning, less those that were accepted as forgotten."""
    forgotten = sum(
        loss.records or 0
        for loss in findings.accepted.losses
        if loss.kind == "forgotten" and loss.place.partition("/")[0] == shard
        if number(loss.place.partition("/")[2]) <= number(beginning.last_seq)
    )
    findings.add("forgotten", forgotten)
    findings.note(
        "R0",
        f"ledger entries of {shard} that maintenance has removed: {beginning.entries:,}; their "
        f"{beginning.user_records:,} user records, proven before, count as sums",
    )
    return beginning.user_records - forgotten


def _compare(
    shard: str,
    chain: list[LedgerEntry],
    count: ShardCount | None,
    lease: LeaseRow | None,
    may_be_trimmed: bool,
    findings: Findings,
) -> int:
    """The shard's user records up to its position."""
    ledger_total = sum(entry.user_records for entry in chain)
    if count is None:
        forgotten = sum(findings.accepted.records("forgotten", place_of(entry)) for entry in chain)
        findings.add("forgotten", forgotten)
        if chain:
            findings.note("R0", f"the stream no longer has {shard}: its {ledger_total:,} come from the ledger")
        return ledger_total - forgotten
    total = trimmed = earlier = 0
    earlier_end = number(lease.earlier_seq) if lease else 0
    for entry, counted in zip(chain, count.by_entry, strict=True):
        missing = max(entry.user_records - counted, 0)
        forgotten = min(missing, findings.accepted.records("forgotten", place_of(entry)))
        findings.add("forgotten", forgotten)
        held = entry.user_records - forgotten
        if number(entry.last_seq) <= earlier_end:
            earlier += held
        elif missing > forgotten and may_be_trimmed and _starts_before(entry, count.oldest):
            trimmed += missing - forgotten
        elif counted != held:
            held = counted
            _report_difference(shard, entry, counted, missing - forgotten, findings)
        total += held
    if earlier:
        findings.note("R0", f"{earlier:,} user records of {shard} are of an earlier stream: counted from the ledger")
    if trimmed:
        findings.note(
            "R0", f"the stream's retention has trimmed {trimmed:,} user records of {shard}: counted from the ledger"
        )
    return total


def _starts_before(entry: LedgerEntry, oldest: int | None) -> bool:
    return oldest is None or number(entry.after_seq) < oldest


def _report_difference(shard: str, entry: LedgerEntry, counted: int, missing: int, findings: Findings) -> None:
    sentence = (
        f"the stream holds {counted} user records of {shard} up to {entry.last_seq} from just after "
        f"{entry.after_seq or 'its beginning'}, but the ledger entry counts {entry.user_records}; "
        "compare that range with its landing and rejected objects"
    )
    if missing:
        findings.lost("R0", sentence, Loss(kind="forgotten", place=place_of(entry), records=missing))
    else:
        findings.differs("R0", sentence)


def _age(summary: dict[str, Any]) -> timedelta:
    created = summary["StreamCreationTimestamp"]
    if not isinstance(created, datetime):
        created = datetime.fromtimestamp(float(created), UTC)
    return datetime.now(UTC) - created


def _shards(client: Any, name: str) -> list[str]:
    pages = client.get_paginator("list_shards").paginate(StreamName=name)
    return [shard["ShardId"] for page in pages for shard in page["Shards"]]


def _client(settings: RegionSettings) -> Any:
    # botocore spends two thirds of GetRecords on parsing arrival times, which a count does not need.
    session = botocore.session.get_session()
    session.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=lambda value: value)
    config = Config(retries={"mode": "standard", "max_attempts": 12}, max_pool_connections=8)
    return boto3.Session(botocore_session=session).client(
        "kinesis", config=config, **settings.kinesis.client_kwargs(settings.row.aws_region)
    )
