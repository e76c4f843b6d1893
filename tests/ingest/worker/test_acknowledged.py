"""An erasure can see in a shard's lease which suppression list its owner applies, also where nothing arrives."""

import asyncio

import pyarrow as pa

from contracts.record import LANDING_SCHEMA
from ingest.decode import JsonDecoder
from ingest.suppression import HashedSuppression, accepted_rows, hashed_device
from tests.builders.consumer import World, fill
from tests.builders.ingest import ARRIVAL_MS, SHARD, kinesis, payload
from tests.builders.virtual_time import run_virtually

KEY = b"of this region"


def test_a_shard_at_rest_acknowledges_a_newer_list_by_renewing_its_lease() -> None:
    async def story() -> None:
        world = World(shards=2)
        fill(world.stream, 20)
        suppression = HashedSuppression(KEY, set(), version=3)
        worker = world.worker("w", parts=world.parts(decoder=JsonDecoder(suppression)))
        running = asyncio.create_task(worker.run())
        await asyncio.sleep(120)
        assert {row.suppression_version for row in await world.leases.rows()} == {3}
        suppression.version = 4
        await asyncio.sleep(30)
        assert {row.suppression_version for row in await world.leases.rows()} == {4}
        worker.stop()
        await running

    run_virtually(story())


def test_of_a_device_that_was_erased_in_part_only_that_time_is_left_out() -> None:
    hashed = hashed_device(KEY, "part")
    span = (ARRIVAL_MS - 5_000, ARRIVAL_MS - 3_000)
    suppression = HashedSuppression(KEY, set(), version=1, ranges={hashed: (span,)})
    sent = [payload(device_id="part", ts=ARRIVAL_MS - ago, event_id=str(ago)) for ago in (6_000, 5_000, 4_000, 3_000)]
    sent += [payload(device_id="part", ts="never"), payload(device_id="other", ts=ARRIVAL_MS - 4_000)]
    batch = JsonDecoder(suppression).decode(SHARD, kinesis(sent))
    assert batch.rows.column("event_id").to_pylist() == ["6000", "3000", None]
    assert (batch.suppressed, batch.rejected.num_rows) == (2, 1)


def test_live_state_gets_no_row_of_an_erased_device_wherever_it_comes_from() -> None:
    rows = [payload(device_id=device, ts=ARRIVAL_MS - 1_000) for device in ("gone", "stays", "gone")]
    landed = JsonDecoder().decode(SHARD, kinesis(rows)).rows
    suppression = HashedSuppression(KEY, {hashed_device(KEY, "gone")}, version=1)
    assert accepted_rows(suppression, landed).column("device_id").to_pylist() == ["stays"]
    nobody = HashedSuppression(KEY, (), version=2)
    assert accepted_rows(nobody, landed) is landed
    assert accepted_rows(suppression, pa.RecordBatch.from_pylist([], LANDING_SCHEMA)).num_rows == 0
