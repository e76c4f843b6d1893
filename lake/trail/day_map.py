"""A device's day, or some days, as one HTML page: where it drove, how fast, its trips. Needs no network to be read."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from itertools import pairwise
from math import hypot
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from lake.trail.day_sources import DeviceDay
from lake.trail.formats import positions
from lake.trail.projection import Frame, fit, graticule, scale_bar

WIDTH, HEIGHTS, MARGIN = 1120.0, (400.0, 640.0), 56.0
PROFILE_WIDTH, PROFILE_HEIGHT = 1120.0, 190.0
PROFILE_LEFT, PROFILE_TOP, PROFILE_BOTTOM = 44.0, 26.0, 26.0
GAP = timedelta(hours=1)
"""Where nothing was heard for so long, no line is drawn."""
SAME_PLACE, LABELLED = 18.0, 6
"""Pixels within which marks become one, and how many trips it names one by one."""
_TICKS_H = (0.25, 0.5, 1, 3, 6, 12, 24, 48, 7 * 24, 28 * 24)
STANDING, UNKNOWN = "#8a94a6", "#c3c9d4"
SPEEDS: tuple[tuple[float, str, str], ...] = (
    (3, STANDING, "standing"),
    (20, "#3a0ca3", "to 20"),
    (40, "#7209b7", "to 40"),
    (60, "#b5179e", "to 60"),
    (80, "#e0315f", "to 80"),
    (100, "#f3722c", "to 100"),
    (float("inf"), "#f9a620", "above"),
)
"""Upper bound in km/h, colour, and name of each class of speed."""
ROUTES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#1b2333", "#8a5a00")
"""Colours of several devices' routes, apart for colour-blind eyes too (M. Okabe, K. Ito, Color Universal Design)."""


@dataclass(frozen=True, slots=True)
class Stroke:
    """A run of positions of one colour."""

    colour: str
    points: str


@dataclass(frozen=True, slots=True)
class Mark:
    """A place where trips start or end."""

    x: float
    y: float
    trips: dict[int, list[str]] = field(default_factory=dict)
    """What each trip does here."""

    @property
    def label(self) -> str:
        """The trips' numbers."""
        numbers = sorted(self.trips)
        return ", ".join(map(str, numbers)) if len(numbers) <= LABELLED else f"{len(numbers)} trips"

    @property
    def title(self) -> str:
        """All of it, a line each."""
        return "\n".join(line for number in sorted(self.trips) for line in self.trips[number])


def day_map(*seen: DeviceDay) -> str:
    """The page of one device, or of several with all of them on one map first. Flagged positions are left out; a day
    without a good position has no map, only what is known of it.
    """
    blocks = [_block(one) for one in seen]
    overview = _overview(seen) if len(seen) > 1 else None
    legend = [(colour, name) for _, colour, name in SPEEDS]
    return _template().render(first=seen[0], blocks=blocks, overview=overview, legend=legend)


def _block(seen: DeviceDay) -> dict[str, Any]:
    """What the page says of one device."""
    rows = positions(seen.trail)
    frame = fit([(row["lat"], row["lon"]) for row in rows], WIDTH, HEIGHTS, MARGIN) if rows else None
    return {
        "seen": seen,
        "figures": _figures(seen),
        "chart": _chart(seen, rows, frame) if frame else None,
        "profile": _profile(seen),
        "trips": [_trip_row(number, trip, seen) for number, trip in enumerate(seen.trips, 1)],
        "summary": seen.trail.summary(),
        "left_out": seen.trail.records.num_rows - len(rows),
    }


def _overview(seen: Sequence[DeviceDay]) -> dict[str, Any]:
    """All devices' routes, each in a colour, with its name where it was last."""
    routes = {one.trail.name: positions(one.trail) for one in seen}
    places = [(row["lat"], row["lon"]) for rows in routes.values() for row in rows]
    if not places:
        return {"routes": [], "chart": None}
    frame = fit(places, WIDTH, HEIGHTS, MARGIN)
    drawn = [
        {
            "name": name,
            "colour": ROUTES[number % len(ROUTES)],
            "strokes": [stroke.points for stroke in _strokes(rows, frame, by_speed=False)],
            "last": frame.place(rows[-1]["lat"], rows[-1]["lon"]),
        }
        for number, (name, rows) in enumerate(routes.items())
        if rows
    ]
    return {"routes": drawn, "chart": _ground(frame)}


def _ground(frame: Frame) -> dict[str, Any]:
    """What is drawn below the routes."""
    meridians, parallels = graticule(frame)
    bar, bar_name = scale_bar(frame, 180)
    return {
        "width": frame.width,
        "height": frame.height,
        "meridians": meridians,
        "parallels": parallels,
        "bar": bar,
        "bar_name": bar_name,
    }


def _figures(seen: DeviceDay) -> list[tuple[str, str]]:
    """Heading and value of what the day comes to."""
    speeds = [trip["max_speed_kmh"] for trip in seen.trips if trip["max_speed_kmh"] is not None]
    moving = timedelta(seconds=sum(trip["moving_s"] for trip in seen.trips))
    return [
        ("records", f"{seen.trail.records.num_rows:,}"),
        ("trips", str(len(seen.trips))),
        ("distance", f"{sum(trip['distance_km'] for trip in seen.trips):,.1f} km"),
        ("in motion", _span(moving)),
        ("top speed", f"{max(speeds):.0f} km/h" if speeds else "none"),
    ]


def _chart(seen: DeviceDay, rows: list[dict[str, Any]], frame: Frame) -> dict[str, Any]:
    return _ground(frame) | {
        "casing": [stroke.points for stroke in _strokes(rows, frame, by_speed=False)],
        "strokes": _strokes(rows, frame, by_speed=True),
        "marks": _marks(seen, frame),
    }


def _strokes(rows: list[dict[str, Any]], frame: Frame, *, by_speed: bool) -> list[Stroke]:
    """Lines through consecutive positions, cut at gaps and, `by_speed`, where the class of speed changes."""
    strokes: list[Stroke] = []
    points: list[str] = []
    colour = ""
    for before, after in pairwise(rows):
        new = _colour(after["speed_kmh"]) if by_speed else ""
        heard = after["ts"] - before["ts"] < GAP
        if points and (new != colour or not heard):
            strokes.append(Stroke(colour, " ".join(points)))
            points = []
        if heard:
            points = points or [_pair(frame, before)]
            points.append(_pair(frame, after))
        colour = new
    return [*strokes, Stroke(colour, " ".join(points))] if points else strokes


def _marks(seen: DeviceDay, frame: Frame) -> list[Mark]:
    """Where trips start and end, one mark a place."""
    marks: list[Mark] = []
    for number, trip in enumerate(seen.trips, 1):
        for end in ("start", "end"):
            lat, lon = trip[f"{end}_lat"], trip[f"{end}_lon"]
            if lat is None or lon is None:
                continue
            x, y = frame.place(lat, lon)
            mark = next((one for one in marks if hypot(one.x - x, one.y - y) < SAME_PLACE), None)
            if mark is None:
                mark = Mark(x, y)
                marks.append(mark)
            mark.trips.setdefault(number, []).append(f"trip {number} {end}s {_clock(trip[f'{end}_ts'], seen)}")
    return marks


def _profile(seen: DeviceDay) -> dict[str, Any]:
    """Speed over the time asked for."""
    day_s = (seen.trail.end - seen.trail.start).total_seconds()
    columns = seen.trail.records.select(["ts", "speed_kmh"]).to_pylist()
    rows = [row for row in columns if row["speed_kmh"] is not None and 0 <= row["speed_kmh"] <= 300]  # noqa: PLR2004
    top = max(60.0, *(row["speed_kmh"] for row in rows)) if rows else 60.0
    top = -(-top // 20) * 20

    def x_of(moment: datetime) -> float:
        share = (moment - seen.trail.start).total_seconds() / day_s
        return PROFILE_LEFT + share * (PROFILE_WIDTH - PROFILE_LEFT)

    def y_of(speed: float) -> float:
        return PROFILE_TOP + (1 - speed / top) * (PROFILE_HEIGHT - PROFILE_TOP - PROFILE_BOTTOM)

    hours = [seen.trail.start + timedelta(hours=hour) for hour in _ticks(day_s / 3600)]
    form = "%H:%M" if day_s <= 2 * 86_400 else "%d %b"
    ground = y_of(0)
    return {
        "width": PROFILE_WIDTH,
        "height": PROFILE_HEIGHT,
        "left": PROFILE_LEFT,
        "ground": ground,
        "areas": _areas([(row["ts"], x_of(row["ts"]), y_of(row["speed_kmh"])) for row in rows], ground),
        "hours": [(x_of(hour), format(hour.astimezone(seen.zone), form)) for hour in hours],
        "speeds": [(y_of(speed), f"{speed:.0f}") for speed in _steps(top)],
        "trips": [
            (number, x_of(trip["start_ts"]), max(x_of(trip["end_ts"]) - x_of(trip["start_ts"]), 2))
            for number, trip in enumerate(seen.trips, 1)
        ],
    }


def _areas(points: list[tuple[datetime, float, float]], ground: float) -> list[str]:
    """Closed outlines under the speed, one for each stretch without a gap."""
    stretches: list[list[tuple[float, float]]] = []
    last: datetime | None = None
    for moment, x, y in points:
        if last is None or moment - last >= GAP:
            stretches.append([])
        stretches[-1].append((x, y))
        last = moment
    return [
        " ".join(f"{x:.1f},{y:.1f}" for x, y in [(stretch[0][0], ground), *stretch, (stretch[-1][0], ground)])
        for stretch in stretches
    ]


def _trip_row(number: int, trip: dict[str, Any], seen: DeviceDay) -> list[str]:
    speed, fuel = trip["max_speed_kmh"], trip["fuel_l"]
    return [
        str(number),
        _clock(trip["start_ts"], seen),
        _clock(trip["end_ts"], seen),
        _span(trip["end_ts"] - trip["start_ts"]),
        f"{trip['distance_km']:.1f}",
        _span(timedelta(seconds=trip["idle_s"])),
        "" if speed is None else f"{speed:.0f}",
        "" if fuel is None else f"{fuel:.1f}",
        f"{trip['records']:,}",
    ]


def _ticks(hours: float) -> list[float]:
    """Where the time axis has a mark, in hours from its start: ten at most, each a round number of hours or days."""
    step = next((step for step in _TICKS_H if hours / step <= 9), hours / 9)  # noqa: PLR2004
    return [step * place for place in range(int(hours / step + 1e-6) + 1)]


def _steps(top: float) -> list[float]:
    step = 20 if top <= 100 else 40  # noqa: PLR2004 - five lines at most
    return [float(speed) for speed in range(0, int(top) + 1, step)]


def _colour(speed_kmh: float | None) -> str:
    if speed_kmh is None:
        return UNKNOWN
    return next(colour for bound, colour, _ in SPEEDS if speed_kmh <= bound)


def _pair(frame: Frame, row: dict[str, Any]) -> str:
    x, y = frame.place(row["lat"], row["lon"])
    return f"{x:.1f},{y:.1f}"


def _clock(moment: datetime, seen: DeviceDay) -> str:
    return f"{moment.astimezone(seen.zone):%H:%M}"


def _span(span: timedelta) -> str:
    minutes = round(span.total_seconds() / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min"  # noqa: PLR2004


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("lake.trail", ""), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    return environment.get_template("day_map.html.j2")
