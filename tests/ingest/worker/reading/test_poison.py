"""A record that breaks the decoder itself."""

from typing import Any

from ingest.decode import JsonDecoder
from ingest.suppression import HashedSuppression
from tests.builders.consumer import World, fill, record
from tests.builders.virtual_time import run_virtually


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
