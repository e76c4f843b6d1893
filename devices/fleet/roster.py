"""Who is in the fleets: vehicles, customers and drivers, the same for a seed however many are asked for."""

from dataclasses import dataclass

from contracts.regions import Region
from contracts.registry import Device, Fleet
from devices.fleet.cities import City, cities_of
from devices.fleet.kinds import PATTERN, Kind
from devices.fleet.noise import generator

FLEET_SIZE = 24
KM_PER_DEG = 111.195
"""Kilometres of a degree of latitude on a sphere of the mean earth radius (6,371.0088 km)."""
TRADES = ("Logistics", "Mobility", "Works", "Services")
WORLDWIDE = "meridian"
"""The customer that has the first fleet of every region."""


@dataclass(frozen=True, slots=True)
class Vehicle:
    """One simulated vehicle: what never changes about it."""

    index: int
    device_id: str
    fleet_id: str
    kind: Kind
    city: City
    lat: float
    lon: float
    """Home depot, WGS 84 degrees."""
    key: int
    """What its randomness hangs on."""
    make: str
    model: str
    electric: bool
    interval_s: int
    start_h: float
    line_km: float
    trips: int
    base_km: float
    rfc3339: bool
    """Sends its times as text, not as epoch milliseconds."""
    event_ids: bool
    """Its maker sends a message id."""
    extras: bool
    """Sends signals and attributes."""
    drivers: tuple[str, ...]

    def registered(self) -> Device:
        """As the registry has it."""
        fuel = "electric" if self.electric else ("petrol" if self.kind.type == "car" else "diesel")
        return Device(self.device_id, self.fleet_id, self.kind.type, self.make, self.model, fuel, self.drivers)


@dataclass(frozen=True, slots=True)
class Roster:
    """A region's simulated vehicles and the fleets that they belong to."""

    vehicles: tuple[Vehicle, ...]
    fleets: tuple[Fleet, ...]


def make_roster(region: Region, devices: int, seed: int) -> Roster:
    """The first `devices` vehicles of the region for this seed. Ids do not depend on the seed. Raises Misuse."""
    cities = cities_of(region)
    vehicles = tuple(_vehicle(region, cities, index, seed) for index in range(devices))
    fleets = []
    for number in range((devices + FLEET_SIZE - 1) // FLEET_SIZE):
        city, trade = cities[number % len(cities)], TRADES[number // len(cities) % len(TRADES)]
        fleets.append(Fleet(_fleet_id(region, number), f"{city.name} {trade}", WORLDWIDE if number == 0 else None))
    return Roster(vehicles, tuple(fleets))


def _vehicle(region: Region, cities: tuple[City, ...], index: int, seed: int) -> Vehicle:
    rng = generator(seed, region.name, index)
    kind = PATTERN[index % len(PATTERN)]
    fleet = index // FLEET_SIZE
    city = cities[fleet % len(cities)]
    make, model = kind.makes[int(rng.integers(len(kind.makes)))]
    drivers = 2 if kind.type in ("truck", "bus") else 1
    return Vehicle(
        index=index,
        device_id=f"{region.name}-{kind.type}-{_number_of_kind(index):04d}",
        fleet_id=_fleet_id(region, fleet),
        kind=kind,
        city=city,
        lat=city.lat + rng.uniform(-0.04, 0.04),
        lon=city.lon + rng.uniform(-0.04, 0.04),
        key=int(rng.integers(2**62)),
        make=make,
        model=model,
        electric=bool(rng.random() < kind.electric),
        interval_s=int(rng.choice(kind.interval_s)),
        start_h=kind.starts_h + rng.uniform(-1, 1),
        line_km=rng.uniform(*kind.line_km),
        trips=2 * int(rng.integers(kind.trips[0] // 2, kind.trips[1] // 2 + 1)),
        base_km=rng.uniform(500, 40_000),
        rfc3339=make in ("Renault", "Ford", "Volvo", "MAN", "Komatsu"),
        event_ids=bool(rng.random() < 0.5),  # noqa: PLR2004
        extras=bool(rng.random() < 0.6),  # noqa: PLR2004
        drivers=tuple(f"{region.name}-driver-{index:04d}{'ab'[place]}" for place in range(drivers)),
    )


def _number_of_kind(index: int) -> int:
    """Place among the vehicles of its kind, from 1."""
    rounds, place = divmod(index, len(PATTERN))
    kind = PATTERN[place]
    return rounds * PATTERN.count(kind) + PATTERN[: place + 1].count(kind)


def _fleet_id(region: Region, number: int) -> str:
    return f"{region.name}-fleet-{number + 1:02d}"
