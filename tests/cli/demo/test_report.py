"""What the demo's report chooses to show."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cli.demo.highlights import LIVE_SHOWN, fastest
from cli.demo.report import nearest_noon, told_by_gateway
from cli.demo.show import through_gateway
from cli.demo.steps import Step, Steps
from contracts.record import Flag
from contracts.regions import load_regions


def test_the_live_sample_is_of_a_region_where_it_is_day() -> None:
    shown = {}
    for hour in range(24):
        now = datetime(2026, 11, 25, hour, tzinfo=UTC)
        name = nearest_noon(load_regions().values(), now)
        shown[hour] = name
        nearest = abs(now.astimezone(load_regions()[name].zone).hour - 12)
        assert all(nearest <= abs(now.astimezone(each.zone).hour - 12) for each in load_regions().values()), hour
    assert shown[11] == "eu"
    assert len(set(shown.values())) >= 3


def test_what_the_gateway_told_the_devices_is_in_the_report(tmp_path: Path) -> None:
    steps = Steps(tmp_path, {}, lambda _: None)
    assert told_by_gateway(steps) == {}
    ends = {"reconnects": 0, "slept": 12, "roamed": 3}
    answers = {"acknowledged": 7_000, "messages": 90, "refused": {"bad_payload": 4}, **ends}
    for region, document in (("us", {"via": "stream"}), ("eu", {"via": "mqtt", "gateway": answers})):
        steps.done.append(Step(name="simulate", region=region, began_s=0.0, seconds=1.0, document=document))
    told = told_by_gateway(steps)
    assert told == {"region": "eu", "via": "mqtt", **answers}
    said = through_gateway(told, 7_000)
    assert "7,000 records acknowledged in 90 messages; refused: 4 bad_payload" in said
    assert "slept 12 times" in said
    assert (
        "7,000 records acknowledged in 90 messages (the gateway acknowledged 12 more, which no device heard)"
        in through_gateway(told, 7_012)
    )


def _live(device: str, **fields: Any) -> dict[str, Any]:
    return {"device_id": device, "lat": 50.0, "lon": 8.0, "flags": 0, **fields}


def test_the_live_sample_is_of_the_fastest_devices() -> None:
    records = [_live(f"d-{number}", speed_kmh=10.0 * number) for number in range(10)]
    assert [record["speed_kmh"] for record in fastest([_live("still"), *records])] == [90, 80, 70, 60, 50][:LIVE_SHOWN]


@pytest.mark.parametrize("flag", [Flag.IMPOSSIBLE_SPEED, Flag.NULL_ISLAND, Flag.POSITION_OUT_OF_RANGE])
def test_the_live_sample_shows_nothing_that_is_flagged_as_wrong(flag: Flag) -> None:
    lorry, broken = _live("lorry", speed_kmh=80.0), _live("broken", speed_kmh=1_310.0, flags=int(flag))
    assert fastest([broken, lorry]) == [lorry]


def test_the_live_sample_shows_a_reading_that_is_flagged_for_something_else() -> None:
    ahead = _live("ahead", speed_kmh=70.0, flags=int(Flag.CLOCK_AHEAD))
    assert fastest([ahead]) == [ahead]
