"""What was read comes in batches that a flush may hold."""

from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.decode import JsonDecoder
from ingest.landing import arrival_hours
from ingest.landing.flush import HOUR_MS
from ingest.worker.reading.decoding import decode_in_hours
from tests.builders.ingest import ARRIVAL_MS, SHARD, kinesis, payload


@given(st.lists(st.integers(0, 12), min_size=1, max_size=30), st.integers(1, 4))
@settings(deadline=None)
def test_batches_hold_at_most_the_open_hours_and_every_record_once(hours: list[int], open_hours: int) -> None:
    datas = [payload() if place % 3 else b"{" for place in range(len(hours))]
    read = kinesis(datas, arrivals=[ARRIVAL_MS + hour * HOUR_MS for hour in hours])

    batches = decode_in_hours(JsonDecoder(), SHARD, read, open_hours)

    sequences = [text for batch in batches for text in batch.rows.column("sequence_number").to_pylist()]
    rejected = [text for batch in batches for text in batch.rejected.column("sequence_number").to_pylist()]
    assert sequences == [one.sequence_number for one in read if one.data != b"{"]
    assert rejected == [one.sequence_number for one in read if one.data == b"{"]
    assert all(len(arrival_hours(batch)) <= open_hours for batch in batches)
