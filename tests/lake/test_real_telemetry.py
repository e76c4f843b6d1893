"""Real vehicles through merge and derivation, beside an independent reckoning with polars."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from contracts.record import LANDING_SCHEMA
from lake.derive.changed_days import harvest
from lake.derive.progress import due_days
from lake.jobs import DeriveDays, MergeLanding
from lake.merge.intake import due_merges, intake
from lake.run import run
from tests.builders.lake import landing_table

DATA = Path(os.environ.get("FLEETLAKE_REAL_DATA", Path(__file__).parents[3] / "shared" / "data"))
BUSES = DATA / "us_austin_bus.parquet"
ARRIVAL = datetime(2026, 3, 10, 12, tzinfo=UTC)
pytestmark = [
    pytest.mark.real_data,
    pytest.mark.skipif(not BUSES.is_file(), reason=f"no real telemetry at {DATA}; set FLEETLAKE_REAL_DATA"),
]


@pytest.fixture(scope="module")
def buses() -> pl.DataFrame:
    """Four days of 60 buses, in order of event time, with the identity that the same bytes would have."""
    frame = pl.read_parquet(BUSES).filter(
        pl.col("ts").dt.date().is_between(datetime(2017, 3, 14), datetime(2017, 3, 17))
    )
    chosen = frame.filter(pl.col("device_id").is_in(frame["device_id"].unique().sort().head(60).implode()))
    whole = pl.concat_str([pl.col(name).cast(pl.Utf8).fill_null("~") for name in chosen.columns], separator="|")
    return chosen.with_columns(record=whole.hash(7).cast(pl.Utf8)).sort("ts", maintain_order=True).with_row_index("at")


def landed(frame: pl.DataFrame) -> list[dict]:
    rows = []
    for row in frame.select("at", "device_id", "ts", "lat", "lon", "speed", "record").iter_rows(named=True):
        flags = 1 if abs(row["lat"]) < 1e-6 and abs(row["lon"]) < 1e-6 else 0
        made = dict.fromkeys(LANDING_SCHEMA.names)
        made |= {name: row[name] for name in ("device_id", "ts", "lat", "lon")}
        made |= {"speed_kmh": None if row["speed"] is None else row["speed"] * 3.6, "record_id": f"b:{row['record']}"}
        made |= {
            "arrival_ts": ARRIVAL + timedelta(milliseconds=row["at"] // 50),
            "shard_id": "shardId-0",
            "flags": flags,
        }
        rows.append(made | {"sequence_number": str(row["at"]), "sub_sequence": 0})
    return rows


def plain_distances(frame: pl.DataFrame) -> pl.DataFrame:
    """km by device and day of Chicago: haversine over consecutive positions, the first row of each time.

    Steps at rest are left out: those under 100 m with up to 3 km/h at both ends (of more than a minute: that are
    under 50 m or as slow), unless the bus moves off in them: it moves in the step that follows, and the first takes
    five minutes at most.
    """
    good = frame.filter((pl.col("lat").abs() >= 1e-6) | (pl.col("lon").abs() >= 1e-6))
    one = good.unique(["device_id", "ts"], keep="first", maintain_order=True).sort("device_id", "ts")
    day = pl.col("ts").dt.convert_time_zone("America/Chicago").dt.date().alias("day")
    lat, lon = pl.col("lat").radians(), pl.col("lon").radians()
    group = ["device_id", "day"]
    half = (lat.diff().over(group) / 2).sin() ** 2 + lat.cos() * lat.shift().over(group).cos() * (
        lon.diff().over(group) / 2
    ).sin() ** 2
    step = (2 * 6371.0088 * half.sqrt().arcsin()).alias("step")
    kmh = pl.col("step") / (pl.col("ts").diff().over(group).dt.total_milliseconds() / 3_600_000)
    seconds = pl.col("ts").diff().over(group).dt.total_milliseconds() / 1000
    faster_kmh = pl.max_horizontal(pl.col("speed").shift().over(group), pl.col("speed")) * 3.6
    steps = one.with_columns(day).with_columns(step, seconds.alias("s"), faster_kmh.alias("faster"))
    steps = steps.with_columns(kmh.alias("kmh"))
    clean = pl.col("kmh").max().fill_null(0) <= 150
    brief = (pl.col("s") <= 60) & (pl.col("faster") > 3)
    longer = (pl.col("s") > 60) & (pl.col("step") > 0.05) & (pl.col("kmh") > 3)
    steps = steps.with_columns(moves=(pl.col("step") > 0.1) | brief | longer)
    goes_on = pl.col("step").shift(-1).over(group).is_not_null()
    after = (goes_on & (pl.col("speed") * 3.6 > 3)) | pl.col("moves").shift(-1).over(group)
    moved = pl.when(pl.col("moves") | ((pl.col("s") <= 300) & after)).then(pl.col("step"))
    steps = steps.with_columns(moved.alias("moved"))
    moved = pl.col("moved")
    return steps.group_by(group).agg(moved.sum().alias("km"), pl.len().alias("n"), clean.alias("clean"))


def test_real_records_are_merged_once_and_distances_agree_with_a_plain_sum(spark, landing, buses):
    rows = landed(buses)
    for start in range(0, len(rows), 10_000):
        landing.land(landing_table(rows[start : start + 10_000]), hour=ARRIVAL)
    settings = landing.settings
    intake(settings)
    due = due_merges(settings, open_hours=True)
    counts = run(spark, settings, MergeLanding(settings.region, due.hours, due.stragglers)).counts
    distinct = buses.select("device_id", "ts", "record").n_unique()
    assert (counts["rows_read"], counts["inserted"], counts["duplicates"]) == (
        len(rows),
        distinct,
        len(rows) - distinct,
    )

    harvest(settings)
    run(spark, settings, DeriveDays(settings.region, due_days(settings)))
    found = pl.from_arrow(spark.table(f"{settings.region}.history.device_day").toArrow())
    assert found["records"].sum() == distinct
    both = plain_distances(buses).join(found, ["device_id", "day"])
    clean = both.filter(pl.col("clean") & (pl.col("km") > 1))
    assert len(clean) >= 50
    off = ((clean["distance_gps_km"] - clean["km"]) / clean["km"]).abs()
    assert off.max() <= 0.002  # single steps of some 40 m beside a shorter one, which the product judges together
    assert abs(clean["distance_gps_km"].sum() / clean["km"].sum() - 1) <= 0.001
