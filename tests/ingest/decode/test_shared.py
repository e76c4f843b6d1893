"""What is the same in every row takes memory once, however many batches are held."""

import pyarrow as pa
import pytest

from bench.payloads import PAYLOADS
from contracts.record import LANDING_SCHEMA
from ingest.batch import Batch, KinesisRecord
from ingest.decode import JsonDecoder
from ingest.decode.shared import MOST_ROWS, SharedColumns

NOW_MS = 1_795_420_800_000
SHARD = "shardId-000000000007"


def _decoded(decoder: JsonDecoder, payload: str, count: int, first: int = 0) -> Batch:
    made = PAYLOADS[payload](0, count, NOW_MS)
    records = [
        KinesisRecord.at(NOW_MS, str(10**55 + first + place), each.key, each.data) for place, each in enumerate(made)
    ]
    return decoder.decode(SHARD, records)


@pytest.mark.parametrize("payload", ["plain", "kpl"])
def test_a_batch_holds_a_quarter_less_than_it_refers_to(payload: str) -> None:
    decoder = JsonDecoder(plain=False)
    warm = _decoded(decoder, payload, 20_000)
    before = pa.total_allocated_bytes()
    held = [_decoded(decoder, payload, 20_000, first=place * 20_000) for place in range(5)]
    taken, referred = pa.total_allocated_bytes() - before, sum(batch.rows.nbytes for batch in held)
    assert warm.rows.num_rows == 20_000
    assert taken < 0.75 * referred


def test_rows_are_those_of_columns_of_their_own() -> None:
    decoder = JsonDecoder(plain=False)
    for payload, count in (("plain", 3), ("rich", 700), ("kpl", 17_000), ("plain", 1)):
        rows = _decoded(decoder, payload, count).rows
        rows.validate(full=True)
        own = pa.RecordBatch.from_pylist(rows.to_pylist(), schema=LANDING_SCHEMA)
        assert rows.equals(own)
        assert set(rows.column("shard_id").to_pylist()) == {SHARD}


def test_more_rows_than_a_shared_column_has_are_left_as_they_are() -> None:
    row = _decoded(JsonDecoder(plain=False), "plain", 1).rows
    many = pa.concat_batches([row] * 3).take(pa.array([0] * (MOST_ROWS + 1)))
    assert SharedColumns().put_into(many, SHARD) is many
    assert SharedColumns().put_into(many.slice(0, 0), SHARD).num_rows == 0
