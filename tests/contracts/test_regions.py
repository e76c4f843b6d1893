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
        (GOOD.replace("Europe/Berlin", "Europe/Nowhere"), "no IANA zone"),
    ],
)
def test_a_bad_table_says_what_is_wrong(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(BadRegionTable, match=says):
        load_regions(table(tmp_path, text))


def test_a_missing_table_says_where_it_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(BadRegionTable, match=r"nowhere\.toml"):
        load_regions(tmp_path / "nowhere.toml")


def test_an_unknown_region_names_the_known_ones() -> None:
    with pytest.raises(UnknownRegion, match=r"no region 'mars' in regions\.toml; it has eu, us, ap, af"):
        find_region("mars")
