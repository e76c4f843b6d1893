"""A zone's polygon: what may be one, and which positions are in it or near its border."""

from collections.abc import Sequence

import numpy as np

from serving.problems import BadRequest

LEAST_VERTICES, MOST_VERTICES = 3, 200
WIDEST_DEG = 20.0
"""A zone is a place, and lines between its vertices are straight on the map: of a larger one that would be wrong."""
_METRES_A_DEGREE = 111_194.9
Floats = np.ndarray
Bools = np.ndarray


class Ring:
    """A polygon of longitudes and latitudes in degrees; it may cross 180 degrees."""

    def __init__(self, points: Sequence[Sequence[float]]) -> None:
        """points: longitude and latitude of each vertex, the first is not repeated. Raises BadRequest."""
        if not LEAST_VERTICES <= len(points) <= MOST_VERTICES:
            raise BadRequest(f"ring: a zone has {LEAST_VERTICES} to {MOST_VERTICES} vertices")
        self._lat = np.array([lat for _, lat in points], float)
        self._origin = float(points[0][0])
        self._lon = self._unrolled(np.array([lon for lon, _ in points], float))
        if np.ptp(self._lat) > WIDEST_DEG or np.ptp(self._lon) > WIDEST_DEG:
            raise BadRequest(f"ring: a zone spans at most {WIDEST_DEG:g} degrees; make several")
        self._wide = float(np.cos(np.radians(self._lat.mean())))
        if self._crosses_itself():
            raise BadRequest("ring: its sides cross; name the vertices in the order along the border")

    @property
    def vertices(self) -> int:
        """How many there are."""
        return len(self._lat)

    def is_close(self, lat: Floats, lon: Floats, metres: float) -> Bools:
        """Which positions are in the box around the zone and so many metres: no other is in it or near its border."""
        lon, high = self._unrolled(lon), metres / _METRES_A_DEGREE
        wide = high / max(self._wide, 1e-3)
        close: Bools = (lat >= self._lat.min() - high) & (lat <= self._lat.max() + high)
        close &= (lon >= self._lon.min() - wide) & (lon <= self._lon.max() + wide)
        return close

    def contains(self, lat: Floats, lon: Floats) -> Bools:
        """Which positions are inside (crossing number; M. Shimrat, Algorithm 112, CACM 5(8), 1962)."""
        lon = self._unrolled(lon)
        inside = np.zeros(len(lat), bool)
        for (y1, x1), (y2, x2) in self._sides():
            crossing = (y1 > lat) != (y2 > lat)
            if crossing.any():
                inside ^= crossing & (lon < (x2 - x1) * (lat - y1) / ((y2 - y1) or 1.0) + x1)
        return inside

    def is_near(self, lat: Floats, lon: Floats, metres: float) -> Bools:
        """Which positions are no farther than that from the border."""
        x, y = self._unrolled(lon) * self._wide, lat
        nearest = np.full(len(lat), np.inf)
        for (y1, lon1), (y2, lon2) in self._sides():
            x1, x2 = lon1 * self._wide, lon2 * self._wide
            length = (x2 - x1) ** 2 + (y2 - y1) ** 2
            share = np.clip(((x - x1) * (x2 - x1) + (y - y1) * (y2 - y1)) / (length or 1.0), 0, 1)
            away = (x - x1 - share * (x2 - x1)) ** 2 + (y - y1 - share * (y2 - y1)) ** 2
            nearest = np.minimum(nearest, away)
        near: Bools = np.sqrt(nearest) * _METRES_A_DEGREE <= metres
        return near

    def _sides(self) -> list[tuple[tuple[float, float], tuple[float, float]]]:
        points = list(zip(self._lat.tolist(), self._lon.tolist(), strict=True))
        return list(zip(points, [*points[1:], points[0]], strict=True))

    def _unrolled(self, lon: Floats) -> Floats:
        """Longitudes within 180 degrees of the first vertex, so that none jumps within the zone."""
        moved: Floats = (lon - self._origin + 180) % 360 - 180 + self._origin
        return moved

    def _crosses_itself(self) -> bool:
        sides = self._sides()
        last = len(sides) - 1
        return any(
            _cross(one, sides[other])
            for number, one in enumerate(sides)
            for other in range(number + 2, len(sides))
            if (number, other) != (0, last)
        )


def _cross(one: tuple[tuple[float, float], ...], other: tuple[tuple[float, float], ...]) -> bool:
    """Whether two sides that share no vertex meet."""
    (a, b), (c, d) = one, other
    first, second, third, fourth = _turn(a, b, c), _turn(a, b, d), _turn(c, d, a), _turn(c, d, b)
    if 0 in (first, second, third, fourth):
        # On one line, or a vertex on another side: they meet where their boxes do.
        return all(min(a[i], b[i]) <= max(c[i], d[i]) and min(c[i], d[i]) <= max(a[i], b[i]) for i in (0, 1)) and (
            first * second <= 0 and third * fourth <= 0
        )
    return first != second and third != fourth


def _turn(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> int:
    """1 where a, b, c turn left, -1 where they turn right, 0 on a line."""
    return int(np.sign((b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])))
