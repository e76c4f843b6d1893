"""The ledger's objects taken into Postgres."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import boto3

from contracts.ledger import LeaseRow, lease_item
from contracts.names import leases_table
from lake.intake import due_merges, intake
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


def test_a_side_of_an_object_that_has_no_rows_waits_for_nothing(landing):
    landing.land([landing_row("a", NOON, "1")])
    landing.land([landing_row("a", NOON - 30 * HOUR, "2", arrival_ts=NOON)])
    intake(landing.settings)
    rows = fetch(
        landing.settings,
        "select stragglers, on_time_merged is null, stragglers_merged is null from ops.landing_object order by 1",
    )
    assert rows == [(0, True, False), (1, False, True)]
