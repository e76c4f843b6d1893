"""Workers, demand and lag of a day as SVG, drawn from the simulation."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from deploy.scale.simulate import Course

_WIDTH, _PANEL, _LEFT, _RIGHT, _GAP, _TOP = 960, 130, 56, 16, 34, 30
_WORKERS, _NEEDED, _LAG, _GRID, _TEXT = "#1f5fa8", "#c9d8ea", "#c2410c", "#e5e7eb", "#374151"
_HOURS = 24


def plot(courses: Mapping[str, Course], target: float, most: int, path: Path) -> None:
    """Draw a panel a region: workers as a line over those that the records asked for, and the minutes of most lag."""
    height = _TOP + len(courses) * (_PANEL + _GAP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" '
        f'viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif" font-size="11" fill="{_TEXT}">',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="{_LEFT}" y="18">Workers by the template\'s policies (line), workers that the records asked for '
        "(area), lag over 5 s (marks); hours of UTC</text>",
    ]
    for number, (name, course) in enumerate(courses.items()):
        parts += _panel(name, course, target, most, _TOP + number * (_PANEL + _GAP))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([*parts, "</svg>"]) + "\n", encoding="utf-8")


def _panel(name: str, course: Course, target: float, most: int, top: int) -> list[str]:
    bottom, scale = top + _PANEL, _PANEL / (most * 1.1)

    def at(minute: float, workers: float) -> str:
        return f"{_x(minute):.1f},{bottom - workers * scale:.1f}"

    needed = [at(minute, rate / target) for minute, rate in zip(course.minutes, course.records_s, strict=True)]
    line = [at(minute, count) for minute, count in zip(course.minutes, course.workers, strict=True)]
    first, last = f"{_x(course.minutes[0]):.1f},{bottom}", f"{_x(course.minutes[-1]):.1f},{bottom}"
    return [
        *_grid(name, top, bottom, scale, most),
        f'<polygon points="{" ".join([first, *_thinned(needed), last])}" fill="{_NEEDED}"/>',
        f'<polyline points="{" ".join(_thinned(line))}" fill="none" stroke="{_WORKERS}" stroke-width="1.5"/>',
        *(
            f'<circle cx="{_x(minute):.1f}" cy="{top + 8}" r="2.5" fill="{_LAG}"/>'
            for minute, lag in zip(course.minutes, course.worst_lag_s, strict=True)
            if lag > 5  # noqa: PLR2004 - as the legend says
        ),
    ]


def _grid(name: str, top: int, bottom: int, scale: float, most: int) -> list[str]:
    found = [f'<text x="8" y="{top + 12}" font-weight="bold">{name}</text>']
    for workers in range(0, most + 1, max(1, most // 4)):
        y = bottom - workers * scale
        found.append(f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="{_GRID}"/>')
        found.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{workers}</text>')
    for hour in range(0, _HOURS + 1, 3):
        found.append(f'<text x="{_x(hour * 60):.1f}" y="{bottom + 14}" text-anchor="middle">{hour:02d}</text>')
    return found


def _x(minute: float) -> float:
    return _LEFT + (_WIDTH - _LEFT - _RIGHT) * minute / (_HOURS * 60)


def _thinned(points: Sequence[str]) -> list[str]:
    """Every third minute is as much as the picture shows."""
    return [*points[::3], points[-1]]
