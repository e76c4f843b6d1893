"""One landing object that cannot be read stops no other, and is merged once it is mended."""

import io
from datetime import timedelta

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from contracts.errors import StoreUnavailable
from contracts.settings import AwsService
from lake.merge.inspection import inspect_objects
from lake.merge.intake import due_merges, intake
from lake.merge.job import merge_landing
from lake.merge.set_aside import objects_set_aside
from tests.builders.lake import NOON, fetch, landing_row, landing_table, merged

HOUR = timedelta(hours=1)


@pytest.fixture
def s3(landing):
    settings = landing.settings
    return boto3.client("s3", **settings.s3.client_kwargs(settings.row.aws_region))


def three_hours(landing) -> list[str]:
    return [landing.land([landing_row(f"d{n}", NOON + n * HOUR, str(k)) for k in range(20)]) for n in range(3)]


def merge_all(spark, landing) -> dict[str, int | float]:
    intake(landing.settings)
    due = due_merges(landing.settings, open_hours=True)
    return merge_landing(spark, landing.settings, due.hours, stragglers=due.stragglers)


def truncated(body: bytes) -> bytes:
    return body[: len(body) // 2]


def with_damaged_rows(body: bytes) -> bytes:
    return body[:200] + bytes(len(body) // 3 - 200) + body[len(body) // 3 :]


def parquet(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


def with_text_as_lat(body: bytes) -> bytes:
    table = pq.read_table(io.BytesIO(body))
    place = table.schema.get_field_index("lat")
    return parquet(table.set_column(place, "lat", table["lat"].cast(pa.string())))


def with_a_column_of_tomorrow(body: bytes) -> bytes:
    table = pq.read_table(io.BytesIO(body))
    return parquet(table.append_column("tyre_kpa", pa.nulls(table.num_rows, pa.float64())))


def without_device(body: bytes) -> bytes:
    return parquet(pq.read_table(io.BytesIO(body)).drop_columns(["device_id"]))


def with_a_row_less(body: bytes) -> bytes:
    return parquet(pq.read_table(io.BytesIO(body)).slice(1))


DAMAGE = {
    truncated: "Parquet",
    with_damaged_rows: "",
    with_text_as_lat: "its column lat is string, the contract says double",
    with_a_column_of_tomorrow: "its column tyre_kpa is not one of this version's contract",
    without_device: "it lacks the column device_id",
    with_a_row_less: "it has 19 rows, the ledger says 20",
    lambda body: b"": "0 bytes are not a Parquet file",
}


@pytest.mark.parametrize(("damage", "reason"), DAMAGE.items(), ids=lambda item: getattr(item, "__name__", None))
def test_an_object_that_cannot_be_read_is_set_aside_with_its_reason_and_merged_once_mended(
    spark, landing, s3, damage, reason
):
    bucket, keys = landing.settings.bucket, three_hours(landing)
    sound = s3.get_object(Bucket=bucket, Key=keys[0])["Body"].read()
    s3.put_object(Bucket=bucket, Key=keys[0], Body=damage(sound))
    counts = merge_all(spark, landing)
    assert (counts["inserted"], counts["objects_set_aside"]) == (40, 1)
    (aside,) = objects_set_aside(landing.settings)
    assert (aside.key, aside.rows) == (keys[0], 20)
    assert reason in aside.reason
    assert not due_merges(landing.settings, open_hours=True)
    assert intake(landing.settings) == 0  # nothing changed: it is not looked at again
    s3.put_object(Bucket=bucket, Key=keys[0], Body=sound)
    assert merge_all(spark, landing)["inserted"] == 20
    assert objects_set_aside(landing.settings) == []
    assert len(merged(spark, landing.settings)) == 60


def test_a_missing_object_is_set_aside_and_merged_once_restored(spark, landing, s3):
    bucket, keys = landing.settings.bucket, three_hours(landing)
    sound = s3.get_object(Bucket=bucket, Key=keys[1])["Body"].read()
    s3.delete_object(Bucket=bucket, Key=keys[1])
    assert merge_all(spark, landing)["inserted"] == 40
    (aside,) = objects_set_aside(landing.settings)
    assert aside.reason == f"bucket {bucket} does not have the object"
    s3.put_object(Bucket=bucket, Key=keys[1], Body=sound)
    assert merge_all(spark, landing)["inserted"] == 20


def test_an_object_that_another_version_of_the_contract_refused_is_looked_at_again(spark, landing, s3):
    bucket, keys = landing.settings.bucket, three_hours(landing)
    sound = s3.get_object(Bucket=bucket, Key=keys[0])["Body"].read()
    s3.put_object(Bucket=bucket, Key=keys[0], Body=with_a_row_less(sound))
    merge_all(spark, landing)
    fetch(landing.settings, "update ops.landing_object set rows = 19 where key = %s returning 1", keys[0])
    assert intake(landing.settings) == 0
    fetch(landing.settings, "update ops.set_aside set contract = 'an older one' returning 1")
    assert intake(landing.settings) == 1
    assert merge_all(spark, landing)["inserted"] == 19


def test_a_store_that_does_not_answer_sets_nothing_aside(landing):
    key = landing.land(landing_table([landing_row("a", NOON, "1")]))
    away = landing.settings.model_copy(
        update={"s3": AwsService(endpoint="http://127.0.0.1:9", access_key="a", secret_key="b")}
    )
    with pytest.raises(StoreUnavailable, match="does not answer"):
        inspect_objects(away, {key: 1})


def test_a_footer_longer_than_what_is_fetched_first_is_read_whole(landing, s3):
    rows = landing_table([landing_row("a", NOON + timedelta(seconds=n), str(n)) for n in range(400)])
    key = landing.land(rows)
    sink = io.BytesIO()
    pq.write_table(rows, sink, row_group_size=1)
    assert len(sink.getvalue()) > 500_000
    s3.put_object(Bucket=landing.settings.bucket, Key=key, Body=sink.getvalue())
    assert inspect_objects(landing.settings, {key: 400})[key].reason == ""
