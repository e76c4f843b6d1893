"""The kinds of vehicles that are simulated, and how each moves."""

from dataclasses import dataclass
from enum import Enum


class Route(Enum):
    """How a day's driving is laid out."""

    COMMUTE = "commute"
    """The same road out and back, each way one trip."""
    TOUR = "tour"
    """Out by stops to a far point, and back the same way; another road every day."""
    LINE = "line"
    """One fixed line, end to end and back, all day."""
    SITE = "site"
    """Short passes to and fro on one site."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind. Ranges are (low, high), uniform. Speeds are peaks between two stops."""

    type: str
    route: Route
    day_km: tuple[float, float]
    line_km: tuple[float, float]
    """Length of a LINE or of a pass on a SITE."""
    trips: tuple[int, int]
    """Trips of a day, always even: what goes out comes back."""
    speed_kmh: tuple[float, float]
    stops_per_km: float
    stop_s: tuple[float, float]
    acceleration_mps2: float
    bend_km: tuple[float, float]
    """Wave lengths of the road's bends."""
    starts_h: float
    """Local hour at which the working day starts, give or take one."""
    shift_h: tuple[float, float]
    works_weekday: float
    works_weekend: float
    interval_s: tuple[int, ...]
    """Seconds between records in motion; a device has one of them."""
    litres_per_100km: float
    tank_l: float
    idle_lph: float
    rpm_scale: float
    electric: float
    """Share of battery vehicles."""
    makes: tuple[tuple[str, str], ...]
    faults: tuple[str, ...]


CAR = Kind(
    type="car", route=Route.COMMUTE, day_km=(18, 70), line_km=(0, 0), trips=(2, 4), speed_kmh=(32, 115),
    stops_per_km=0.4, stop_s=(6, 40), acceleration_mps2=1.3, bend_km=(4, 18), starts_h=7.6, shift_h=(8, 10.5),
    works_weekday=0.93, works_weekend=0.45, interval_s=(5, 10, 15), litres_per_100km=6.4, tank_l=52, idle_lph=0.8,
    rpm_scale=1.0, electric=0.25, makes=(("Volkswagen", "Golf"), ("Renault", "Megane"), ("Toyota", "Corolla")),
    faults=("P0128", "P0420", "P0171"),
)  # fmt: skip
VAN = Kind(
    type="van", route=Route.TOUR, day_km=(60, 150), line_km=(0, 0), trips=(10, 18), speed_kmh=(28, 85),
    stops_per_km=0.5, stop_s=(6, 45), acceleration_mps2=1.1, bend_km=(5, 20), starts_h=7.2, shift_h=(7.5, 9.5),
    works_weekday=0.95, works_weekend=0.15, interval_s=(10, 15, 30), litres_per_100km=9.2, tank_l=75, idle_lph=1.0,
    rpm_scale=0.9, electric=0.1, makes=(("Mercedes-Benz", "Sprinter"), ("Ford", "Transit"), ("Fiat", "Ducato")),
    faults=("P0401", "P2002", "P0299"),
)  # fmt: skip
TRUCK = Kind(
    type="truck", route=Route.TOUR, day_km=(220, 460), line_km=(0, 0), trips=(4, 6), speed_kmh=(62, 88),
    stops_per_km=0.05, stop_s=(10, 90), acceleration_mps2=0.5, bend_km=(18, 70), starts_h=5.5, shift_h=(9, 11.5),
    works_weekday=0.95, works_weekend=0.05, interval_s=(30, 60), litres_per_100km=29, tank_l=600, idle_lph=2.4,
    rpm_scale=0.58, electric=0.0, makes=(("Scania", "R 450"), ("Volvo", "FH"), ("MAN", "TGX")),
    faults=("SPN 110 FMI 0", "SPN 4334 FMI 18", "SPN 3251 FMI 16"),
)  # fmt: skip
BUS = Kind(
    type="bus", route=Route.LINE, day_km=(0, 0), line_km=(9, 16), trips=(12, 16), speed_kmh=(26, 55),
    stops_per_km=1.5, stop_s=(12, 30), acceleration_mps2=0.9, bend_km=(4, 14), starts_h=5.4, shift_h=(13, 15),
    works_weekday=0.98, works_weekend=0.7, interval_s=(10, 15, 20), litres_per_100km=36, tank_l=300, idle_lph=2.8,
    rpm_scale=0.6, electric=0.3, makes=(("Solaris", "Urbino 12"), ("MAN", "Lion's City"), ("BYD", "K9")),
    faults=("SPN 190 FMI 2", "SPN 3216 FMI 4"),
)  # fmt: skip
MACHINE = Kind(
    type="machine", route=Route.SITE, day_km=(6, 14), line_km=(0.15, 0.4), trips=(4, 6), speed_kmh=(6, 14),
    stops_per_km=0, stop_s=(15, 90), acceleration_mps2=0.4, bend_km=(4, 9), starts_h=7.0, shift_h=(8, 9.5),
    works_weekday=0.9, works_weekend=0.05, interval_s=(20, 30, 60), litres_per_100km=160, tank_l=350, idle_lph=6.0,
    rpm_scale=0.0, electric=0.0, makes=(("Liebherr", "L 550"), ("Caterpillar", "950"), ("Komatsu", "WA380")),
    faults=("SPN 1231 FMI 9", "SPN 98 FMI 1"),
)  # fmt: skip

PATTERN: tuple[Kind, ...] = (
    CAR, VAN, TRUCK, BUS, MACHINE, VAN, CAR, TRUCK, BUS, MACHINE, CAR, VAN,
)  # fmt: skip
"""Kinds of twelve consecutive vehicles: from 60 vehicles on there are at least 10 of each."""
