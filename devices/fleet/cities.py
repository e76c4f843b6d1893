"""Where depots are: real cities of the country that the region's time zone belongs to, or of those near to its law."""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files

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


EUROPEAN_ECONOMIC_AREA = "AT BE BG HR CY CZ DK EE FI FR DE GR HU IE IT LV LT LU MT NL PL PT RO SK SI ES SE IS LI NO"
CITIES: dict[str, tuple[City, ...]] = {
    EUROPEAN_ECONOMIC_AREA: (
        City("Berlin", 52.52, 13.40, 35),
        City("Lyon", 45.75, 4.85, 175),
        City("Rotterdam", 51.92, 4.48, 1, 110),
        City("Warszawa", 52.23, 21.01, 105),
        City("Milano", 45.46, 9.19, 120),
        City("Madrid", 40.42, -3.70, 655),
        City("Wien", 48.21, 16.37, 170),
        City("Hamburg", 53.55, 9.99, 8, 160),
    ),
    "US": (
        City("Chicago", 41.86, -87.75, 182, 250),
        City("Austin", 30.27, -97.74, 150),
        City("Dallas", 32.78, -96.80, 140),
        City("Saint Louis", 38.63, -90.25, 142),
        City("Denver", 39.74, -104.95, 1600, 80),
        City("Columbus", 39.96, -83.00, 230),
        City("Kansas City", 39.10, -94.58, 277),
        City("Atlanta", 33.75, -84.39, 320),
    ),
    "MY SG TH ID": (
        City("Kuala Lumpur", 3.14, 101.70, 60, 70),
        City("Ipoh", 4.60, 101.09, 50, 120),
        City("Johor Bahru", 1.54, 103.72, 30, 340),
        City("Bangkok", 13.76, 100.55, 4, 10),
        City("Bandung", -6.92, 107.62, 760, 110),
        City("Kuantan", 3.81, 103.28, 10, 270),
    ),
    "ZA BW": (
        City("Johannesburg", -26.20, 28.05, 1750),
        City("Pretoria", -25.75, 28.20, 1340),
        City("Bloemfontein", -29.12, 26.22, 1400),
        City("Gaborone", -24.65, 25.91, 1010),
        City("Durban", -29.83, 30.93, 80, 300),
        City("Cape Town", -33.90, 18.63, 40, 60),
    ),
    "AU": (
        City("Melbourne", -37.75, 144.95, 60, 350),
        City("Canberra", -35.28, 149.13, 580, 300),
        City("Toowoomba", -27.56, 151.95, 690, 270),
    ),
    "BR": (
        City("Campinas", -22.91, -47.06, 680, 330),
        City("Belo Horizonte", -19.92, -43.94, 850, 300),
        City("Goiania", -16.68, -49.25, 750),
        City("Brasilia", -15.79, -47.88, 1170),
        City("Curitiba", -25.43, -49.27, 930, 290),
    ),
    "CA": (
        City("Calgary", 51.05, -114.07, 1050, 60),
        City("Edmonton", 53.54, -113.49, 670),
        City("Regina", 50.45, -104.61, 577),
        City("Winnipeg", 49.88, -97.15, 235, 270),
    ),
    "MX": (
        City("Queretaro", 20.59, -100.39, 1820),
        City("Leon", 21.12, -101.68, 1815),
        City("San Luis Potosi", 22.15, -100.98, 1860),
    ),
    "GB": (
        City("Leeds", 53.80, -1.55, 60, 180),
        City("Manchester", 53.48, -2.20, 40, 160),
        City("Sheffield", 53.38, -1.47, 75, 180),
    ),
    "IN": (
        City("Nagpur", 21.15, 79.09, 310),
        City("Bhopal", 23.26, 77.41, 500),
        City("Indore", 22.72, 75.86, 550, 40),
        City("Hyderabad", 17.39, 78.49, 540, 330),
    ),
}
"""By ISO 3166 codes of countries."""


def cities_of(region: Region) -> tuple[City, ...]:
    """Cities where the region's vehicles may be. Raises Misuse where none are known."""
    country = _countries().get(region.time_zone)
    for countries, cities in CITIES.items():
        if country in countries.split():
            return cities
    raise Misuse(
        f"no cities for region {region.name}: its time zone {region.time_zone} is that of {country or 'no country'}, "
        f"and the simulator knows those of {', '.join(CITIES)}; add some in devices/fleet/cities.py"
    )


@cache
def _countries() -> dict[str, str]:
    """Country of each IANA zone that is not an old name of another."""
    table = (files("tzdata") / "zoneinfo" / "zone.tab").read_text(encoding="utf-8")
    rows = [line.split("\t") for line in table.splitlines() if not line.startswith("#")]
    return {row[2]: row[0] for row in rows}
