"""A record that breaks the decoder itself."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ingest.decode import JsonDecoder
from ingest.decode.suppression import HashedSuppression
from ingest.landing import arrival_hours
from ingest.worker.poison import decode_in_hours
from tests.builders.consumer import World, fill, record
from tests.builders.ingest import ARRIVAL_MS, SHARD, kinesis, payload
from tests.builders.virtual_time import run_virtually

HOUR_MS = 3_600_000


def test_a_record_that_breaks_the_decoder_does_not_take_the_suppression_list_back() -> None:
    class Brittle(JsonDecoder):
        """Breaks on one record."""

        def decode(self, shard_id: str, records: Any) -> Any:
            if any(b'"777"' in one.data for one in records):
                raise ZeroDivisionError("a bug")
            return super().decode(shard_id, records)

    async def story() -> None:
        world = World(shards=1)
        fill(world.stream, 10)
        world.stream.put("k", record("d", 777))
        decoder = Brittle(HashedSuppression(b"key", set(), version=7))
        report = await world.read_all(parts=world.parts(decoder=decoder))
        assert report.rejected == {"poison": 1}
        assert [entry.suppression_version for entry in await world.entries()] == [7]
        assert [row.suppression_version for row in await world.leases.rows()] == [7]

    run_virtually(story())


@given(st.lists(st.integers(0, 12), min_size=1, max_size=30), st.integers(1, 4))
def test_batches_hold_at_most_the_open_hours_and_every_record_once(hours: list[int], open_hours: int) -> None:
    datas = [payload() if place % 3 else b"{" for place in range(len(hours))]
    read = kinesis(datas, arrivals=[ARRIVAL_MS + hour * HOUR_MS for hour in hours])

    batches = decode_in_hours(JsonDecoder(), SHARD, read, open_hours)

    sequences = [text for batch in batches for text in batch.rows.column("sequence_number").to_pylist()]
    rejected = [text for batch in batches for text in batch.rejected.column("sequence_number").to_pylist()]
    assert sequences == [one.sequence_number for one in read if one.data != b"{"]
    assert rejected == [one.sequence_number for one in read if one.data == b"{"]
    assert all(len(arrival_hours(batch)) <= open_hours for batch in batches)
