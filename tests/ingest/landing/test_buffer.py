"""The shard buffer loses nothing, files by arrival hour, and its objects are what the ledger will say."""

import itertools
import random
from hashlib import sha256

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.ledger import LANDED, REJECTED, ledger_entry, ledger_item
from contracts.record import LANDING_SCHEMA, REJECTED_SCHEMA
from ingest.batch import Batch
from ingest.decode import HashedSuppression, JsonDecoder, hashed_device
from ingest.landing import Flush, FlushLimits, ShardBuffer, runs_of_hours
from tests.builders.ingest import ARRIVAL_MS, SHARD, aggregated, kinesis, mutated, payload, telemetry

HOUR_MS = 3_600_000
HOURS = st.integers(-3, 0)


def batches(seed: int, sizes: list[int], arrivals: list[int] | None = None) -> list[Batch]:
    """Decoded batches with good, bad, aggregated and suppressed records."""
    chance, out, first = random.Random(seed), [], 0
    key = b"k"
    decoder = JsonDecoder(HashedSuppression(key, {hashed_device(key, "veh-00003")}, version=2))
    for number, size in enumerate(sizes):
        datas = telemetry(seed + number, size)
        datas = [mutated(chance, data) if chance.random() < 0.2 else data for data in datas]
        datas = aggregated(datas, 3) if number % 2 else datas
        arrival = arrivals[number] if arrivals else ARRIVAL_MS
        out.append(decoder.decode(SHARD, kinesis(datas, first=first, arrival_ms=arrival)))
        first += len(datas)
    return out


def filled(of: list[Batch], limits: FlushLimits | None = None) -> ShardBuffer:
    buffer = ShardBuffer(SHARD, limits)
    for batch in of:
        buffer.append(batch, now_s=0.0)
    return buffer


def table(flush: Flush, kind: str) -> pa.Table:
    """All rows of a flush's objects, as read back."""
    schema = LANDING_SCHEMA if kind == LANDED else REJECTED_SCHEMA
    read = [pq.read_table(pa.BufferReader(data)) for described, data in flush.objects if described.kind == kind]
    return pa.concat_tables([part.replace_schema_metadata() for part in read]) if read else schema.empty_table()


def by_place(rows: pa.Table) -> pa.Table:
    return rows.sort_by([("sequence_number", "ascending"), ("sub_sequence", "ascending")])


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 999), st.lists(st.integers(1, 60), min_size=1, max_size=5), st.integers(-2, 2))
def test_every_user_record_leaves_once_as_landed_rejected_or_suppressed(
    seed: int, sizes: list[int], ahead_h: int
) -> None:
    of = batches(seed, sizes)
    flush = filled(of).flush(ARRIVAL_MS + ahead_h * HOUR_MS, 3, "w")
    assert flush.user_records == flush.landed + sum(flush.rejected.values()) + flush.suppressed
    assert flush.user_records == sum(batch.user_records for batch in of)
    assert flush.kinesis_records == sum(batch.kinesis_records for batch in of)
    rows, rejected = table(flush, LANDED), table(flush, REJECTED)
    assert (rows.num_rows, rejected.num_rows) == (flush.landed, sum(flush.rejected.values()))
    sent = pa.Table.from_batches([batch.rows for batch in of])
    assert by_place(rows).equals(by_place(sent))
    sent_rejected = pa.Table.from_batches([batch.rejected for batch in of])
    assert by_place(rejected).equals(by_place(sent_rejected))


def test_objects_are_sorted_by_device_and_time_with_statistics_that_let_a_reader_skip() -> None:
    of = batches(1, [40_000, 40_000])
    (described, data), *_ = filled(of).flush(0, 1, "w").objects
    rows = pq.read_table(pa.BufferReader(data))
    assert rows.schema.equals(LANDING_SCHEMA)
    keys = list(zip(rows["device_id"].to_pylist(), rows["ts"].cast("int64").to_pylist(), strict=True))
    assert keys == sorted(keys)
    file = pq.ParquetFile(pa.BufferReader(data))
    assert file.metadata.num_row_groups >= 2
    bounds = []
    for group in range(file.metadata.num_row_groups):
        for name in ("device_id", "ts"):
            statistics = file.metadata.row_group(group).column(LANDING_SCHEMA.names.index(name)).statistics
            assert statistics.has_min_max
            values = file.read_row_group(group, columns=[name])[name]
            assert (statistics.min, statistics.max) == (pc.min(values).as_py(), pc.max(values).as_py())
        statistics = file.metadata.row_group(group).column(0).statistics
        bounds.append((statistics.min, statistics.max))
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(bounds))
    assert file.metadata.row_group(0).column(0).compression == "ZSTD"
    assert described.rows == rows.num_rows


def test_the_ledger_entry_describes_what_was_written() -> None:
    of = batches(2, [500, 300])
    flush = filled(of).flush(ARRIVAL_MS - HOUR_MS, 7, "worker-1", trace_id="t")
    entry = flush.entry("before", committed_ms=5)
    assert ledger_entry(ledger_item(entry)) == entry
    assert (entry.after_seq, entry.last_seq, entry.fence, entry.worker) == ("before", of[-1].last_seq, 7, "worker-1")
    assert (entry.suppression_version, entry.trace_id, entry.watermark_ms) == (2, "t", ARRIVAL_MS)
    for described, data in flush.objects:
        assert (described.bytes, described.sha256) == (len(data), sha256(data).hexdigest())
        assert f"{SHARD}-{of[0].first_seq}-{of[-1].last_seq}-7.parquet" in described.key
        assert pq.read_schema(pa.BufferReader(data)).metadata[b"trace_id"] == b"t"
    landed = [described for described, _ in flush.objects if described.kind == LANDED]
    ts_ms = np.array(table(flush, LANDED)["ts"].cast("int64")) // 1000
    assert (landed[0].min_ts_ms, landed[0].max_ts_ms) == (ts_ms.min(), ts_ms.max())
    reasons = {described.key.split("reason=")[1].split("/")[0] for described, _ in flush.objects[len(landed) :]}
    assert reasons == set(flush.rejected)


def test_the_same_flush_gives_the_same_keys_and_bytes() -> None:
    of = batches(3, [400, 400], [ARRIVAL_MS - HOUR_MS, ARRIVAL_MS])
    pending = filled(of).take()
    first, second = (pending.encode(0, 2, worker) for worker in ("a", "b"))
    assert first.objects == second.objects
    other = pending.encode(0, 3, "a")
    assert not {described.key for described, _ in first.objects} & {described.key for described, _ in other.objects}


@settings(max_examples=40, deadline=None)
@given(st.lists(HOURS, min_size=1, max_size=6), HOURS)
def test_a_row_is_filed_under_the_later_of_its_arrival_and_the_watermark(hours: list[int], watermark_h: int) -> None:
    arrivals = [ARRIVAL_MS + hour * HOUR_MS + 17 for hour in hours]
    watermark_ms = ARRIVAL_MS + watermark_h * HOUR_MS + 12_345
    flush = filled(batches(4, [5] * len(hours), arrivals)).flush(watermark_ms, 1, "w")
    filed = set()
    for described, data in flush.objects:
        schema = LANDING_SCHEMA if described.kind == LANDED else REJECTED_SCHEMA
        arrived = np.array(pq.read_table(pa.BufferReader(data), schema=schema)["arrival_ts"].cast("int64")) // 1000
        assert set(np.maximum(arrived, watermark_ms) // HOUR_MS * HOUR_MS) == {described.hour_ms}
        assert described.hour_ms + HOUR_MS > watermark_ms, "a closed hour gained a row"
        filed.add(described.hour_ms)
    assert filed == {max(arrival, watermark_ms) // HOUR_MS * HOUR_MS for arrival in arrivals}
    assert flush.watermark_ms == max(watermark_ms, *arrivals)


@pytest.mark.parametrize(
    ("offset_ms", "straggles"),
    [(-600_001, 1), (-600_000, 0), (HOUR_MS + 299_999, 0), (HOUR_MS + 300_000, 1)],
)
def test_stragglers_are_rows_outside_the_hours_on_time_range(offset_ms: int, straggles: int) -> None:
    arrival_ms = ARRIVAL_MS + HOUR_MS - 1
    datas = [payload(ts=ARRIVAL_MS + offset_ms), payload(ts=ARRIVAL_MS)]
    # The last offset lies more than 5 minutes ahead of any arrival in the hour, but not of the next one's.
    batch = JsonDecoder().decode(SHARD, kinesis(datas, arrival_ms=arrival_ms + (offset_ms > HOUR_MS) * 2))
    early = batch.rows.set_column(
        LANDING_SCHEMA.names.index("arrival_ts"),
        LANDING_SCHEMA.field("arrival_ts"),
        pa.array([arrival_ms * 1000] * 2).cast(LANDING_SCHEMA.field("arrival_ts").type),
    )
    batch.rows = early
    (described, _), *_ = filled([batch]).flush(0, 1, "w").objects
    assert (described.rows, described.stragglers) == (2, straggles)


def test_a_batch_of_times_years_apart_is_sorted_all_the_same() -> None:
    chance = random.Random(5)
    datas = [
        payload(device_id=f"d{chance.randrange(9)}", ts=chance.randrange(946_684_800_000, ARRIVAL_MS))
        for _ in range(500)
    ]
    rows = table(filled([JsonDecoder().decode(SHARD, kinesis(datas))]).flush(0, 1, "w"), LANDED)
    keys = list(zip(rows["device_id"].to_pylist(), rows["ts"].to_pylist(), strict=True))
    assert keys == sorted(keys)


def test_limits_say_when_a_flush_is_due() -> None:
    (batch,) = batches(6, [100])
    assert filled([batch], FlushLimits(rows=101)).due(0.0) is None
    assert filled([batch], FlushLimits(rows=100 - batch.suppressed)).due(0.0) == "rows"
    assert filled([batch], FlushLimits(bytes=batch.rows.nbytes)).due(0.0) == "bytes"
    buffer = filled([batch], FlushLimits(age_s=60))
    assert (buffer.due(59.9), buffer.due(60.0), buffer.age_s(7.0)) == (None, "age", 7.0)
    buffer.take()
    assert (buffer.empty, buffer.rows, buffer.bytes, buffer.due(1e9)) == (True, 0, 0, None)


def test_batches_of_one_row_are_counted_by_what_they_cost_and_kept_as_few() -> None:
    decoder, buffer, whole = JsonDecoder(), ShardBuffer(SHARD), ShardBuffer(SHARD)
    records = kinesis(telemetry(9, 3_000))
    for record in records:
        batch = decoder.decode(SHARD, [record])
        buffer.append(batch, now_s=0.0)
        if buffer.rows == 1:
            assert buffer.bytes > 25_000, "what one row costs in memory, of which its values are a hundredth"
    whole.append(decoder.decode(SHARD, records), now_s=0.0)
    assert buffer.bytes < 3 * whole.bytes, "but thousands do not cost thousands of times that"
    pending = buffer.take()
    assert len(pending.batches) < 20
    assert pending.encode(0, 1, "w").entry("", 0) == whole.take().encode(0, 1, "w").entry("", 0)


def test_large_batches_are_not_copied() -> None:
    of = batches(10, [2_000, 2_000])
    assert [batch.rows for batch in filled(of).take().batches] == [batch.rows for batch in of]
    assert all(kept is given for kept, given in zip(filled(of).take().batches, of, strict=True))


def test_a_batch_that_opens_too_many_hours_does_not_fit() -> None:
    old, new = batches(7, [10, 10], [ARRIVAL_MS - HOUR_MS, ARRIVAL_MS])
    assert filled([old], FlushLimits(open_hours=2)).fits(new)
    assert not filled([old], FlushLimits(open_hours=1)).fits(new)
    assert filled([old], FlushLimits(open_hours=1)).fits(old)


@given(st.lists(st.integers(0, 12), max_size=30), st.integers(1, 4))
def test_runs_hold_at_most_the_open_hours_and_every_record_once(hours: list[int], open_hours: int) -> None:
    records = kinesis([b""] * len(hours), arrivals=[ARRIVAL_MS + hour * HOUR_MS for hour in hours])
    runs = runs_of_hours(records, open_hours)
    assert [record for run in runs for record in run] == records
    assert all(run for run in runs)
    assert all(len({record.arrival_ms // HOUR_MS for record in run}) <= open_hours for run in runs)


def test_a_batch_that_breaks_its_promise_is_refused() -> None:
    (batch,) = batches(8, [10])
    with pytest.raises(ValueError, match="does not belong"):
        ShardBuffer("another").append(batch)
    batch.user_records += 1
    with pytest.raises(ValueError, match="are not landed"):
        ShardBuffer(SHARD).append(batch)


def test_an_empty_buffer_has_nothing_to_flush() -> None:
    with pytest.raises(ValueError, match="empty"):
        ShardBuffer(SHARD).flush(0, 1, "w")
