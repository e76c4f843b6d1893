"""The region table: good rows load, bad ones say which field and what to do."""

from datetime import date
from pathlib import Path

import pytest

from contracts.errors import BadRegionTable, UnknownRegion
from contracts.regions import find_region, load_regions

GOOD = """
[eu]
aws_region = "eu-central-1"
time_zone = "Europe/Berlin"
legal_regime = "GDPR"
retention_days = 10
stream_shards = 2
history_buckets = 4
"""


def table(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "regions.toml"
    path.write_text(text)
    return path


def test_the_shipped_table_has_the_four_regions() -> None:
    assert list(load_regions()) == ["eu", "us", "ap", "af"]


def test_a_good_row_loads(tmp_path: Path) -> None:
    region = load_regions(table(tmp_path, GOOD))["eu"]
    assert (region.name, region.stream_shards, str(region.zone)) == ("eu", 2, "Europe/Berlin")


def test_a_row_may_say_with_which_day_its_partitions_begin(tmp_path: Path) -> None:
    assert load_regions(table(tmp_path, GOOD))["eu"].first_day is None
    assert load_regions(table(tmp_path, GOOD + "first_day = 2026-03-01\n"))["eu"].first_day == date(2026, 3, 1)


def test_a_row_may_size_the_workers_of_its_jobs(tmp_path: Path) -> None:
    assert load_regions(table(tmp_path, GOOD))["eu"].spark.executor_gib == 16
    sized = load_regions(table(tmp_path, GOOD + "spark = { executor_cores = 8, executor_gib = 32 }\n"))["eu"].spark
    assert (sized.executor_cores, sized.executor_gib, sized.driver_gib) == (8, 32, 8)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "names no region"),
        ("[eu", "is not TOML"),
        ("eu = 1", "outside a table"),
        (GOOD.replace("[eu]", "[world]"), "is no region name"),
        (GOOD.replace("[eu]", "[EU]"), "is no region name"),
        (GOOD.replace("retention_days = 10\n", ""), "retention_days"),
        (GOOD.replace("retention_days = 10", 'retention_days = "x"'), "retention_days"),
        (GOOD.replace("retention_days = 10", "retention_days = 0"), "retention_days must be 1 or more"),
        (GOOD + "colour = 1\n", "colour"),
        (GOOD + 'first_day = "soon"\n', "first_day"),
        (GOOD + "spark = { driver_cores = 3 }\n", "driver_cores must be one of 1, 2, 4, 8, 16"),
        (GOOD + "spark = { executor_gib = 31 }\n", "executor_gib of a worker of 4 cores must be 8 to 30"),
        (GOOD + "spark = { executor_cores = 8, executor_gib = 18 }\n", "a multiple of 4"),
        (GOOD + "spark = { executors = 9 }\n", "most_executors no fewer"),
        (GOOD + "spark = { gpus = 1 }\n", "gpus"),
        (GOOD.replace("Europe/Berlin", "Europe/Nowhere"), "no IANA zone"),
    ],
)
def test_a_bad_table_says_what_is_wrong(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(BadRegionTable, match=says):
        load_regions(table(tmp_path, text))


def test_a_missing_table_says_where_it_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(BadRegionTable, match=r"nowhere\.toml"):
        load_regions(tmp_path / "nowhere.toml")


def test_a_table_inside_a_zip_is_a_missing_table(tmp_path: Path) -> None:
    (tmp_path / "code.zip").write_bytes(b"PK")
    with pytest.raises(BadRegionTable, match="no region table at"):
        load_regions(tmp_path / "code.zip" / "regions.toml")


def test_an_unknown_region_names_the_known_ones() -> None:
    with pytest.raises(UnknownRegion, match=r"no region 'mars' in regions\.toml; it has eu, us, ap, af"):
        find_region("mars")
