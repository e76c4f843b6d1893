"""One trace id leads from a record's sequence number to its object: in the log, the ledger and the object."""

import pyarrow.parquet as pq
from pyarrow import BufferReader
from structlog.testing import capture_logs

from contracts.ledger import LANDED
from tests.builders.consumer import World, fill
from tests.builders.virtual_time import run_virtually


def test_the_trace_id_of_a_record_is_in_log_ledger_and_object() -> None:
    async def story() -> None:
        world = World(shards=2)
        fill(world.stream, 100)
        world.stream.put("bad", b"no JSON")
        with capture_logs() as logged:
            await world.read_all()
        lines = {line["trace_id"]: line for line in logged if line["event"] == "flush.committed"}
        entries = await world.entries()
        assert len(entries) == 2
        assert set(lines) == {entry.trace_id for entry in entries}
        for entry in entries:
            line = lines[entry.trace_id]
            assert (line["shard"], line["after_seq"], line["last_seq"]) == (
                entry.shard_id,
                entry.after_seq,
                entry.last_seq,
            )
            for listed in entry.objects:
                file = pq.ParquetFile(BufferReader(world.store.objects[listed.key]))
                assert file.schema_arrow.metadata[b"trace_id"].decode() == entry.trace_id
                if listed.kind == LANDED:
                    numbers = file.read(columns=["sequence_number"])["sequence_number"].to_pylist()
                    assert all(int(entry.after_seq or 0) < int(number) <= int(entry.last_seq) for number in numbers)

    run_virtually(story())
