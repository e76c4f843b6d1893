"""Records of a device on the suppression list are counted and kept nowhere; on the real stores."""

import asyncio
import json
import time
from dataclasses import replace
from typing import Any

import boto3
import pyarrow.parquet as pq
import redis
from pyarrow import BufferReader

from contracts.names import stream
from ingest.decode import JsonDecoder
from ingest.runtime.metrics import Metrics
from ingest.service.consume import consume
from ingest.service.one_worker import close, parts_of
from ingest.suppression import HashedSuppression, hashed_device
from ingest.worker import Options, Report, Worker

KEY = b"of this region"


def _consumed(settings: Any, erased: str) -> tuple[Report, str]:
    async def work() -> tuple[Report, str]:
        suppression = HashedSuppression(KEY, {hashed_device(KEY, erased)}, version=7)
        metrics = Metrics(settings.region, "suppressing")
        parts = replace(parts_of(settings, metrics), decoder=JsonDecoder(suppression))
        try:
            report = await Worker(parts, Options.of(settings, until_idle=True), "suppressing").run()
            return report, metrics.page().decode()
        finally:
            await close(parts)

    return asyncio.run(work())


def test_a_suppressed_devices_records_are_counted_and_in_no_object_nor_redis(ground) -> None:  # type: ignore[no-untyped-def]
    consume(ground.settings, until_idle=True)
    before = {entry.last_seq for entry in ground.aftermath.ledger()[1]}
    client = boto3.client("kinesis", **ground.settings.kinesis.client_kwargs(ground.settings.row.aws_region))
    now_ms = int(time.time() * 1000)
    for number in range(40):
        device = "erased-device" if number % 4 == 0 else f"kept-{number}"
        body = json.dumps({"device_id": device, "ts": now_ms, "lat": 50.0, "lon": 8.0, "event_id": f"sup-{number}"})
        client.put_record(StreamName=stream("eu"), Data=body.encode(), PartitionKey=device)

    report, page = _consumed(ground.settings, "erased-device")

    assert (report.read, report.landed, report.suppressed) == (40, 30, 10)
    assert "fleetlake_ingest_suppressed_total 10.0" in page
    rows, entries = ground.aftermath.ledger()
    new = [entry for entry in entries if entry.last_seq not in before]
    assert (sum(entry.suppressed for entry in new), {entry.suppression_version for entry in new}) == (10, {7})
    assert {row.suppression_version for row in rows if row.position in {entry.last_seq for entry in new}} == {7}
    objects = ground.aftermath.objects()
    held = [str(pq.read_table(BufferReader(objects[one.key])).to_pylist()) for entry in new for one in entry.objects]
    assert sum(text.count("kept-") for text in held) == 30
    assert not any("erased-device" in text for text in held)
    with redis.Redis.from_url(ground.settings.redis_url.get_secret_value()) as live:
        assert live.exists("eu:latest:kept-1") == 1
        assert live.exists("eu:latest:erased-device", "eu:trail:erased-device") == 0
        assert live.zscore("eu:seen", "erased-device") is None
        assert live.geopos("eu:geo", "erased-device") == [None]
