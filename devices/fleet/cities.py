"""Where depots are: real cities, by the continent of the region's time zone."""

from dataclasses import dataclass

from contracts.errors import Misuse
from contracts.regions import Region


@dataclass(frozen=True, slots=True)
class City:
    """A city's centre (WGS 84 degrees), height, and the course to drive on without ending in the sea (None: any)."""

    name: str
    lat: float
    lon: float
    altitude_m: float
    inland_deg: float | None = None


CITIES: dict[str, tuple[City, ...]] = {
    "Europe": (
        City("Berlin", 52.52, 13.40, 35),
        City("Lyon", 45.75, 4.85, 175),
        City("Rotterdam", 51.92, 4.48, 1, 110),
        City("Warszawa", 52.23, 21.01, 105),
        City("Milano", 45.46, 9.19, 120),
        City("Madrid", 40.42, -3.70, 655),
        City("Wien", 48.21, 16.37, 170),
        City("Hamburg", 53.55, 9.99, 8, 160),
    ),
    "America": (
        City("Chicago", 41.86, -87.75, 182, 250),
        City("Austin", 30.27, -97.74, 150),
        City("Dallas", 32.78, -96.80, 140),
        City("Saint Louis", 38.63, -90.25, 142),
        City("Denver", 39.74, -104.95, 1600, 80),
        City("Columbus", 39.96, -83.00, 230),
        City("Kansas City", 39.10, -94.58, 277),
        City("Atlanta", 33.75, -84.39, 320),
    ),
    "Asia": (
        City("Kuala Lumpur", 3.14, 101.70, 60, 70),
        City("Ipoh", 4.60, 101.09, 50, 120),
        City("Johor Bahru", 1.54, 103.72, 30, 340),
        City("Bangkok", 13.76, 100.55, 4, 10),
        City("Bandung", -6.92, 107.62, 760, 110),
        City("Kuantan", 3.81, 103.28, 10, 270),
    ),
    "Africa": (
        City("Johannesburg", -26.20, 28.05, 1750),
        City("Pretoria", -25.75, 28.20, 1340),
        City("Bloemfontein", -29.12, 26.22, 1400),
        City("Gaborone", -24.65, 25.91, 1010),
        City("Durban", -29.83, 30.93, 80, 300),
        City("Cape Town", -33.90, 18.63, 40, 60),
    ),
    "Australia": (
        City("Melbourne", -37.75, 144.95, 60, 350),
        City("Canberra", -35.28, 149.13, 580, 300),
        City("Toowoomba", -27.56, 151.95, 690, 270),
    ),
}


def cities_of(region: Region) -> tuple[City, ...]:
    """Cities of the region's continent. Raises Misuse where none are known for it."""
    continent = region.time_zone.partition("/")[0]
    try:
        return CITIES[continent]
    except KeyError:
        raise Misuse(
            f"no cities for region {region.name}, whose time zone is {region.time_zone}; "
            f"the simulator knows those of {', '.join(CITIES)}: add some in devices/fleet/cities.py"
        ) from None
