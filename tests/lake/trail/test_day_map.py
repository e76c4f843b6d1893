"""The page of a device's day: whole in itself, true to scale, and careful with what devices send."""

import math
import re
from datetime import UTC, date, datetime, timedelta
from html.parser import HTMLParser
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest

from contracts.record import LANDING_SCHEMA
from lake.trail.day_map import ROUTES, SPEEDS, day_map
from lake.trail.day_sources import DeviceDay
from lake.trail.model import Sources, Trail
from lake.trail.projection import fit, graticule, nice, scale_bar
from tests.builders.query import DAY, Rows

BERLIN = ZoneInfo("Europe/Berlin")


def seen(rows: pa.Table, trips: list[dict[str, Any]], device: str = "veh-0000") -> DeviceDay:
    trail = Trail(
        devices=(device,),
        start=DAY,
        end=DAY + timedelta(days=1),
        records=rows,
        sources=Sources(history=rows.num_rows),
        files_read=1,
        bytes_read=12_345,
        seconds=0.1,
    )
    return DeviceDay("eu", date(2026, 11, 2), BERLIN, trail, trips)


def trip(start: datetime, minutes: int, km: float) -> dict[str, Any]:
    places = {"start_lat": 48.1, "start_lon": 11.5, "end_lat": 48.2, "end_lon": 11.6}
    how = {"moving_s": 60.0 * minutes, "idle_s": 120.0, "max_speed_kmh": 88.0, "fuel_l": None, "records": 30}
    return {"start_ts": start, "end_ts": start + timedelta(minutes=minutes), "distance_km": km, **places, **how}


class Tags(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


@pytest.fixture
def page() -> str:
    rows = Rows().make(devices=1, each=120)
    return day_map(seen(rows, [trip(DAY + timedelta(minutes=5), 40, 31.4), trip(DAY + timedelta(hours=2), 20, 10.0)]))


def test_the_page_needs_no_network(page: str) -> None:
    assert not re.findall(r"https?://|<script|<link|@import|url\(", page)


def test_lines_have_the_colours_of_their_speeds(page: str) -> None:
    colours = {line["stroke"] for line in Tags(page).all("polyline")} - {"#ffffff"}
    assert colours <= {colour for _, colour, _ in SPEEDS}
    assert len(colours) > 4


def test_the_trips_are_in_the_table_in_local_time(page: str) -> None:
    assert page.count("<tr>") == 3
    assert "<td>01:05</td><td>01:45</td>" in page
    assert "41.4 km" in page


def test_several_devices_are_on_one_map_and_each_on_its_own_page_below() -> None:
    devices = ["veh-1", "<b>x</b>", "veh-3"]
    days = [
        seen(Rows(seed=n).make(devices=1, each=30), [trip(DAY, 20, 10.0)] if n == 1 else [], device)
        for n, device in enumerate(devices)
    ]
    page = day_map(*days, seen(LANDING_SCHEMA.empty_table(), [], "silent"))
    assert "<b>x</b>" not in page
    tags = Tags(page)
    assert len(tags.all("details")) == 4
    assert "4 devices" in page
    assert {ROUTES[0], ROUTES[1], ROUTES[2]} <= {line["stroke"] for line in tags.all("polyline")}
    links = [link["href"] for link in tags.all("a")]
    assert links == ["#device-1", "#device-2", "#device-3"]
    assert not re.findall(r"https?://|<script|<link|@import|url\(", page)


def test_what_devices_send_is_text(page: str) -> None:
    rows = Rows().make(devices=1, each=5)
    assert "<b>x</b>" not in day_map(seen(rows, [], device="<b>x</b>"))


def test_a_day_without_positions_is_said_so() -> None:
    assert "No position may be drawn" in day_map(seen(LANDING_SCHEMA.empty_table(), []))


def test_a_device_that_stands_is_not_magnified() -> None:
    frame = fit([(48.1, 11.5), (48.1000001, 11.5)], 1000, (400, 700), 50)
    assert frame.km_a_pixel > 0.0005


def test_the_map_is_true_to_scale() -> None:
    frame = fit([(48.0, 11.0), (48.5, 12.0)], 1000, (300, 900), 50)
    (x0, y0), (x1, y1) = frame.place(48.0, 11.0), frame.place(48.0, 12.0)
    _, y2 = frame.place(48.5, 11.0)
    assert y0 == y1
    km_east = (x1 - x0) * frame.km_a_pixel
    assert km_east == pytest.approx(111.195 * math.cos(math.radians(48.25)), rel=1e-6)
    assert (y0 - y2) * frame.km_a_pixel == pytest.approx(55.5975, rel=1e-6)
    for lat, lon in ((48.0, 11.0), (48.5, 12.0)):
        x, y = frame.place(lat, lon)
        assert 49.9 <= x <= 950.1
        assert 49.9 <= y <= frame.height - 49.9


def test_the_graticule_has_round_degrees_and_few_lines() -> None:
    frame = fit([(-3.2, -60.1), (3.0, -58.2)], 1000, (300, 900), 50)
    meridians, parallels = graticule(frame)
    assert {"58°W", "60°W"} <= {line.label for line in meridians}
    assert "0°N" in {line.label for line in parallels}
    assert 2 <= len(meridians) <= 8
    assert 2 <= len(parallels) <= 6


@pytest.mark.parametrize(
    ("value", "up", "down"), [(0.3, 0.5, 0.2), (1.0, 1.0, 1.0), (7.0, 10.0, 5.0), (12.0, 20.0, 10.0)]
)
def test_nice_numbers(value: float, up: float, down: float) -> None:
    assert nice(value) == pytest.approx(up)
    assert nice(value, down=True) == pytest.approx(down)


def test_the_scale_bar_is_as_long_as_it_says() -> None:
    frame = fit([(48.0, 11.0), (48.5, 12.0)], 1000, (300, 900), 50)
    pixels, name = scale_bar(frame, 180)
    assert pixels <= 180
    assert float(name.split()[0]) == pytest.approx(pixels * frame.km_a_pixel)


def test_times_are_those_of_the_zone() -> None:
    page = day_map(seen(Rows().make(devices=1, each=5), []))
    assert "times in Europe/Berlin" in page
    assert datetime(2026, 11, 2, tzinfo=UTC) == DAY
