"""Degrees onto a picture: an equirectangular map true to scale at its middle, its graticule and its scale bar."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

KM_A_DEGREE = 111.195
"""Of latitude, on a sphere of the mean radius 6,371 km."""
_NICE = (1.0, 2.0, 5.0)
_SMALLEST_KM = 0.6
"""A device that stood still is shown in its surroundings, not magnified to its receiver's noise."""


@dataclass(frozen=True, slots=True)
class Frame:
    """Where each position is drawn. Pixels grow to the right and downwards."""

    lat: float
    lon: float
    """The middle of the picture, in degrees."""
    km_a_pixel: float
    width: float
    height: float

    def place(self, lat: float, lon: float) -> tuple[float, float]:
        """Pixels of a position."""
        east_km = (lon - self.lon) * KM_A_DEGREE * math.cos(math.radians(self.lat))
        north_km = (lat - self.lat) * KM_A_DEGREE
        return self.width / 2 + east_km / self.km_a_pixel, self.height / 2 - north_km / self.km_a_pixel


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the graticule, at this pixel of its axis."""

    at: float
    label: str


def fit(positions: Sequence[tuple[float, float]], width: float, heights: tuple[float, float], margin: float) -> Frame:
    """A frame of `width` pixels around all (lat, lon), as high as they need within `heights`."""
    lats, lons = [lat for lat, _ in positions], [lon for _, lon in positions]
    lat, lon = (min(lats) + max(lats)) / 2, (min(lons) + max(lons)) / 2
    across_km = (max(lons) - min(lons)) * KM_A_DEGREE * math.cos(math.radians(lat))
    up_km = (max(lats) - min(lats)) * KM_A_DEGREE
    across_km, up_km = max(across_km, _SMALLEST_KM), max(up_km, _SMALLEST_KM / 2)
    wanted = up_km / across_km * (width - 2 * margin) + 2 * margin
    height = min(max(wanted, heights[0]), heights[1])
    scale = max(across_km / (width - 2 * margin), up_km / (height - 2 * margin))
    return Frame(lat, lon, scale, width, height)


def graticule(frame: Frame) -> tuple[list[Line], list[Line]]:
    """Meridians and parallels at round degrees, at most six across and four up."""
    middle_x, middle_y = frame.place(frame.lat, frame.lon)
    one_lon = frame.place(frame.lat, frame.lon + 1)[0] - middle_x
    one_lat = middle_y - frame.place(frame.lat + 1, frame.lon)[1]
    half_lon, half_lat = frame.width / 2 / one_lon, frame.height / 2 / one_lat
    meridians = [
        Line(middle_x + (degrees - frame.lon) * one_lon, _named(degrees, step, "EW"))
        for degrees, step in _rounds(frame.lon, half_lon, 6)
    ]
    parallels = [
        Line(middle_y - (degrees - frame.lat) * one_lat, _named(degrees, step, "NS"))
        for degrees, step in _rounds(frame.lat, half_lat, 4)
    ]
    return meridians, parallels


def scale_bar(frame: Frame, longest: float) -> tuple[float, str]:
    """Pixels of a round distance that is at most `longest` pixels, and its name."""
    km = nice(longest * frame.km_a_pixel, down=True)
    return km / frame.km_a_pixel, f"{km:g} km" if km >= 1 else f"{km * 1000:g} m"


def nice(value: float, *, down: bool = False) -> float:
    """The next 1, 2 or 5 times a power of ten, above or (`down`) below."""
    power = math.floor(math.log10(value))
    choices = [digit * 10.0**exponent for exponent in (power, power + 1) for digit in _NICE]
    if down:
        return max(choice for choice in choices if choice <= value * (1 + 1e-9))
    return min(choice for choice in choices if choice >= value * (1 - 1e-9))


def _rounds(middle: float, half: float, most: int) -> list[tuple[float, float]]:
    """Round values from middle - half to middle + half, each with the step between them."""
    step = nice(2 * half / most)
    first, last = math.ceil((middle - half) / step), math.floor((middle + half) / step)
    return [(number * step, step) for number in range(first, last + 1)]


def _named(degrees: float, step: float, signs: str) -> str:
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    return f"{abs(degrees):.{digits}f}°{signs[degrees < 0]}"
