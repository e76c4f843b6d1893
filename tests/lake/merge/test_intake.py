"""The ledger's objects taken into Postgres."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import boto3

from contracts.ledger import LeaseRow, lease_item
from contracts.names import leases_table
from contracts.settings import RegionSettings
from lake.merge.intake import due_merges, intake
from lake.merge.ledger import ledger_shards
from tests.builders.lake import NOON, fetch, landing_row

HOUR = timedelta(hours=1)


def test_each_object_is_taken_once(landing):
    landing.land([landing_row("a", NOON, "1")])
    landing.land([landing_row("b", NOON, "2")], shard_id="shardId-1")
    assert intake(landing.settings) == 2
    assert intake(landing.settings) == 0
    landing.land([landing_row("a", NOON + HOUR, "3")])
    assert intake(landing.settings) == 1
    assert due_merges(landing.settings).hours == [NOON, NOON + HOUR]


def test_two_at_once_take_each_object_once(landing):
    for place in range(6):
        landing.land([landing_row("a", NOON + place * HOUR, str(place))])
    with ThreadPoolExecutor(3) as pool:
        assert sum(pool.map(intake, [landing.settings] * 3)) == 6


def test_a_shard_that_ended_is_read_too(landing):
    landing.land([landing_row("a", NOON, "1")], shard_id="shardId-old")
    settings = landing.settings
    ended = LeaseRow(shard_id="shardId-old", position="1", ended=True)
    boto3.client("dynamodb", **settings.dynamodb.client_kwargs(settings.row.aws_region)).put_item(
        TableName=leases_table(settings.region), Item=lease_item(ended)
    )
    assert intake(settings) == 1
    assert fetch(settings, "select shard_id, ended from ops.watermarks") == [("shardId-old", True)]


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
