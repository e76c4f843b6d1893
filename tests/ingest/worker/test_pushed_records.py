"""A whole worker whose shards push their records."""

import asyncio
from itertools import count

import pytest

from contracts.settings import AwsService
from ingest.kinesis.fan_out import FanOut
from ingest.kinesis.http import HttpStream
from ingest.kinesis.memory import MemoryStream
from ingest.runtime.clock import SystemClock
from ingest.worker import Options, Worker
from tests.builders.consumer import World, broken_chains, fill, until
from tests.builders.fan_out_server import FanOutServer, Timing
from tests.builders.kinesis_server import now_ms, served


@pytest.mark.parametrize("faulty", [False, True])
def test_a_whole_worker_consumes_through_expiries_faults_and_a_split(faulty: bool) -> None:
    async def story() -> None:
        world = World(shards=2)
        world.stream = MemoryStream(2, now_ms=now_ms)
        sent = fill(world.stream, 2_000)
        server = FanOutServer(world.stream, Timing(expires_s=0.3, apart_s=0.05, heartbeat_s=0.05, events=100))
        if faulty:
            numbers = count()
            server.spoil_frame = lambda data: data[:-20] + bytes(20) if next(numbers) % 12 == 1 else data
        async with served(server) as url:
            access = AwsService.model_validate({"endpoint": url, "access_key": "key", "secret_key": "secret"})
            stream, fan_out = HttpStream("double", "eu-central-1", access), FanOut("double", "eu", access, "tests")
            parts = world.parts(stream=stream, fan_out=fan_out, clock=SystemClock())
            worker = Worker(parts, Options(until_idle=True, lease_ttl_s=1.0), "reader")
            running = asyncio.create_task(worker.run())
            await until(lambda: worker.totals.user_records_read >= 1_000)
            world.stream.split(world.stream.open_shards()[0])
            sent |= fill(world.stream, 2_000, first=2_000)
            report = await running
            await fan_out.close()
            await stream.close()
        assert (report.read, report.landed) == (4_000, 4_000)
        assert sorted(await world.landed_ids()) == sorted(sent)
        assert broken_chains(await world.leases.rows(), await world.entries()) == []
        assert "GetRecords" not in server.calls

    asyncio.run(story())
