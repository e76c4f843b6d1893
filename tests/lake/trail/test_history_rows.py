"""Live state is complete again though landing has expired, if history holds what did."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import boto3
import pyarrow as pa

from contracts.names import bucket
from contracts.record import LANDING_SCHEMA
from ingest.live import RedisLive
from ingest.service.rebuild_live import rebuild_live
from lake.database import transaction
from lake.iceberg.tables import history
from lake.merge.intake import intake
from lake.trail.history_rows import HistoryRows
from tests.builders.lake import Landing, landing_row, landing_table

HOUR = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=3)
MERGED = "update ops.landing_object set on_time_merged = now(), stragglers_merged = now() where key = %s"


def _land(landing: Landing, device: str, minute: int) -> tuple[pa.Table, str]:
    at = HOUR + timedelta(minutes=minute)
    number = str(minute + 1)
    rows = landing_table([landing_row(device, at, f"{device}-{minute}", lat=50.0, lon=8.0, sequence_number=number)])
    return rows, landing.land(rows)


def _expire(landing: Landing, key: str) -> None:
    settings = landing.settings
    s3 = boto3.client("s3", **settings.s3.client_kwargs(settings.row.aws_region))
    s3.delete_object(Bucket=bucket(settings.region), Key=key)


def _live(landing: Landing, *devices: str) -> list[str | None]:
    """The epoch, and the newest record id of each device."""

    async def ask() -> list[str | None]:
        live = RedisLive.of(landing.settings)
        held = [await live.latest(device) for device in devices]
        epoch = await live.epoch()
        await live.close()
        return [epoch, *(json.loads(value)["record_id"] if value else None for value in held)]

    return asyncio.run(ask())


def _lose(landing: Landing) -> None:
    async def lose() -> None:
        live = RedisLive.of(landing.settings)
        await live.forget(["silent", "speaking", "unmerged"])
        await live.mark_incomplete()
        await live.close()

    asyncio.run(lose())


def test_live_state_is_built_from_history_and_what_is_left_of_landing(landing: Landing) -> None:
    rows, expired = _land(landing, "silent", 0)
    spoken, kept = _land(landing, "speaking", 1)
    _land(landing, "speaking", 2)
    old = landing_table([landing_row("long-unseen", HOUR - timedelta(days=31), "x")])
    history(landing.settings).append(pa.concat_tables([rows, spoken, old]).cast(LANDING_SCHEMA))
    intake(landing.settings)
    with transaction(landing.settings) as connection:
        for key in (expired, kept):
            connection.execute(MERGED, [key])
    _expire(landing, expired)
    _lose(landing)
    source = HistoryRows(landing.settings)
    assert rebuild_live(landing.settings, source)
    epoch, silent, speaking, unseen = _live(landing, "silent", "speaking", "long-unseen")
    assert epoch is not None
    assert (silent, speaking, unseen) == ("e:silent-0", "e:speaking-2", None)
    assert source.rows == 2


def test_live_state_is_not_called_complete_where_history_lacks_what_has_expired(landing: Landing) -> None:
    _, expired = _land(landing, "unmerged", 0)
    _land(landing, "speaking", 1)
    intake(landing.settings)
    _expire(landing, expired)
    _lose(landing)
    assert not rebuild_live(landing.settings, HistoryRows(landing.settings))
    assert _live(landing, "unmerged", "speaking") == [None, None, "e:speaking-1"]
