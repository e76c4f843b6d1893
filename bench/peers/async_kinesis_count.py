"""A peer that only counts: async-kinesis with its in-memory checkpointer, all shards in one process."""

import asyncio
import json
import os
import sys
import time

from kinesis import Consumer
from kinesis.processors import StringProcessor


async def count(endpoint: str, expected: int) -> None:
    """Read `expected` records; print records and seconds as JSON. Its read rate a shard is lifted out of the way."""
    started, records = time.perf_counter(), 0
    async with Consumer(
        "bench", endpoint_url=endpoint, region_name="eu-central-1", processor=StringProcessor(),
        max_queue_size=100_000, shard_fetch_rate=1000, sleep_time_no_records=0.01,
    ) as consumer:  # fmt: skip
        while records < expected:
            async for _ in consumer:
                records += 1
                if records >= expected:
                    break
    print(json.dumps({"records": records, "seconds": time.perf_counter() - started, "cpu": time.process_time()}))


if __name__ == "__main__":
    os.environ.update(AWS_ACCESS_KEY_ID="bench", AWS_SECRET_ACCESS_KEY="bench")
    asyncio.run(count(sys.argv[1], int(sys.argv[2])))
