"""The ledger's objects taken into Postgres."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import boto3

from contracts.ledger import LeaseRow, lease_item
from contracts.names import leases_table
from contracts.settings import RegionSettings
from ingest.service.watermarks import copy_watermarks
from lake.database import transaction
from lake.merge.intake import due_merges, intake, watermark
from lake.merge.ledger import ledger_shards
from lake.merge.shards import shards_to_read
from tests.builders.lake import NOON, fetch, landing_row, ms

HOUR = timedelta(hours=1)


def test_each_object_is_taken_once(landing):
    landing.land([landing_row("a", NOON, "1")])
    landing.land([landing_row("b", NOON, "2")], shard_id="shardId-1")
    assert intake(landing.settings) == 2
    assert intake(landing.settings) == 0
    landing.land([landing_row("a", NOON + HOUR, "3")])
    assert intake(landing.settings) == 1
    assert due_merges(landing.settings, open_hours=True).hours == [NOON, NOON + HOUR]


def test_two_at_once_take_each_object_once(landing):
    for place in range(6):
        landing.land([landing_row("a", NOON + place * HOUR, str(place))])
    with ThreadPoolExecutor(3) as pool:
        assert sum(pool.map(intake, [landing.settings] * 3)) == 6


def test_a_shard_that_ended_is_read_too(landing):
    landing.land([landing_row("a", NOON, "1")], shard_id="shardId-old")
    put_lease(landing.settings, LeaseRow(shard_id="shardId-old", position="1", ended=True))
    assert intake(landing.settings) == 1


def put_lease(settings: RegionSettings, row: LeaseRow) -> None:
    boto3.client("dynamodb", **settings.dynamodb.client_kwargs(settings.row.aws_region)).put_item(
        TableName=leases_table(settings.region), Item=lease_item(row)
    )


def test_the_watermark_is_that_of_the_leases_however_old_its_copy_is(landing):
    settings = landing.settings
    copy_watermarks(settings.postgres_dsn.get_secret_value(), [LeaseRow(shard_id="shardId-0", watermark_ms=1)])
    landing.land([landing_row("a", NOON, "1")], shard_id="shardId-0", committed=NOON + HOUR)
    landing.land([landing_row("a", NOON, "2")], shard_id="shardId-1", committed=NOON + 2 * HOUR)
    assert watermark(settings) == NOON + HOUR


def test_what_arrived_before_the_watermark_is_taken_in(landing):
    key = landing.land([landing_row("a", NOON, "1")], committed=NOON + HOUR)
    assert watermark(landing.settings) == NOON + HOUR
    assert fetch(landing.settings, "select key from ops.landing_object") == [(key,)]


def test_where_nothing_was_consumed_there_is_no_watermark(landing):
    assert watermark(landing.settings) is None
    put_lease(landing.settings, LeaseRow(shard_id="shardId-0"))
    assert watermark(landing.settings) is None


def test_intake_leaves_the_copy_of_the_watermarks_to_the_consumer(landing):
    """Its scan of the leases may be older than what the consumer copied meanwhile."""
    settings = landing.settings
    landing.land([landing_row("a", NOON, "1")], shard_id="shardId-0")
    newer = LeaseRow(shard_id="shardId-0", position="9", watermark_ms=ms(NOON + HOUR))
    copy_watermarks(settings.postgres_dsn.get_secret_value(), [newer])
    before = fetch(settings, "select * from ops.watermarks")
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(intake, [settings] * 3))
    watermark(settings)
    assert fetch(settings, "select * from ops.watermarks") == before


def test_a_shard_that_the_consumer_has_forgotten_is_read_too(landing):
    for shard_id in ("shardId-0", "shardId-old", "shardId-2"):
        landing.land([landing_row("a", NOON, shard_id)], shard_id=shard_id)
    forget(landing.settings, "shardId-old")
    assert intake(landing.settings) == 3
    assert intake(landing.settings) == 0


def forget(settings: RegionSettings, shard_id: str) -> None:
    """As the consumer does once the stream has forgotten an ended shard."""
    dynamodb = boto3.client("dynamodb", **settings.dynamodb.client_kwargs(settings.row.aws_region))
    dynamodb.delete_item(TableName=leases_table(settings.region), Key={"shard_id": {"S": shard_id}})


def test_a_shard_is_found_once_however_many_entries_it_has(landing):
    for place in range(5):
        landing.land([landing_row("a", NOON, str(place))], shard_id=f"shardId-{place % 2}")
    settings = landing.settings
    dynamodb = boto3.client("dynamodb", **settings.dynamodb.client_kwargs(settings.row.aws_region))
    assert sorted(ledger_shards(dynamodb, settings.region)) == ["shardId-0", "shardId-1"]


def test_a_side_of_an_object_that_has_no_rows_waits_for_nothing(landing):
    landing.land([landing_row("a", NOON, "1")])
    landing.land([landing_row("a", NOON - 30 * HOUR, "2", arrival_ts=NOON)])
    intake(landing.settings)
    rows = fetch(
        landing.settings,
        "select stragglers, on_time_merged is null, stragglers_merged is null from ops.landing_object order by 1",
    )
    assert rows == [(0, True, False), (1, False, True)]


def test_a_running_hour_is_due_once_the_watermark_has_closed_it(landing):
    """Twelve flushes of one hour: each would be a commit and a derivation. Spot queries see landing meanwhile."""
    settings, late = landing.settings, NOON - timedelta(days=9)
    for flush in range(12):
        at = NOON + timedelta(minutes=5 * flush)
        landing.land([landing_row("a", at, str(flush)), landing_row("b", late, f"late {flush}", arrival_ts=at)])
        intake(settings)
        assert not due_merges(settings, now=at)
        assert due_merges(settings, now=at, open_hours=True).hours == [NOON]
    landing.land([landing_row("a", NOON + HOUR, "next")], committed=NOON + HOUR)
    intake(settings)
    due = due_merges(settings, now=NOON + HOUR)
    assert (due.hours, due.straggler_hours) == ([NOON], [NOON])


def test_a_setting_merges_hours_that_still_grow(landing):
    landing.land([landing_row("a", NOON, "1")])
    intake(landing.settings)
    assert due_merges(landing.settings.model_copy(update={"merge_open_hours": True})).hours == [NOON]
    assert not due_merges(landing.settings)


def to_read(settings: RegionSettings) -> list[str]:
    client = boto3.client("dynamodb", **settings.dynamodb.client_kwargs(settings.row.aws_region))
    with transaction(settings) as connection:
        return shards_to_read(connection, client, settings.region)


def test_an_ended_shard_is_asked_until_everything_of_it_is_taken_in_and_then_no_more(landing):
    settings = landing.settings
    landing.land([landing_row("a", NOON, "1")], shard_id="shardId-open")
    landing.land([landing_row("a", NOON, "2")], shard_id="shardId-old")
    end = LeaseRow(shard_id="shardId-old", position=str(landing.sequence), ended=True)
    put_lease(settings, end)
    assert to_read(settings) == ["shardId-old", "shardId-open"]
    assert intake(settings) == 2
    assert to_read(settings) == ["shardId-open"]
    client = boto3.client("dynamodb", **settings.dynamodb.client_kwargs(settings.row.aws_region))
    client.delete_item(TableName=leases_table(settings.region), Key={"shard_id": {"S": "shardId-old"}})
    assert to_read(settings) == ["shardId-open"]  # its lease went with the stream's retention


def test_a_shard_id_that_a_new_stream_uses_again_is_asked_again(landing):
    settings = landing.settings
    landing.land([landing_row("a", NOON, "1")])
    put_lease(settings, LeaseRow(shard_id="shardId-0", position=str(landing.sequence), ended=True))
    intake(settings)
    assert to_read(settings) == []
    landing.land([landing_row("a", NOON, "2")])
    assert to_read(settings) == ["shardId-0"]
    assert intake(settings) == 1


def test_a_shard_whose_lease_went_while_the_lake_was_away_is_found_by_the_next_listing(landing):
    settings = landing.settings
    landing.land([landing_row("a", NOON, "1")])
    assert intake(settings) == 1
    landing.land([landing_row("a", NOON, "2")], shard_id="shardId-gone")
    client = boto3.client("dynamodb", **settings.dynamodb.client_kwargs(settings.row.aws_region))
    client.delete_item(TableName=leases_table(settings.region), Key={"shard_id": {"S": "shardId-gone"}})
    fetch(settings, "update ops.ledger_listing set listed_at = now() - interval '1 day' returning 1")
    assert intake(settings) == 1
    assert intake(settings) == 0
