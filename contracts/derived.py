"""The derived tables, as Spark writes them, Postgres stages them and marts read them; packed hours, which history has
alone; and the release.
"""

import pyarrow as pa

from contracts.columns import TIMESTAMP, Column, Privacy, schema_of

_ID, _WHERE, _HOW = Privacy.IDENTIFIER, Privacy.LOCATION, Privacy.BEHAVIOUR
_F8, _I8, _I4 = pa.float64(), pa.int64(), pa.int32()


def _how(name: str, kind: pa.DataType, doc: str, unit: str | None = None, *, required: bool = True) -> Column:
    return Column(name, kind, _HOW, doc, unit=unit, required=required)


TRIP: tuple[Column, ...] = (
    Column(
        "trip_id",
        pa.string(),
        _ID,
        "Device and start: the same trip has the same id in every derivation.",
        required=True,
    ),
    Column("device_id", pa.string(), _ID, "The device.", required=True),
    Column(
        "day",
        pa.date32(),
        _HOW,
        "Business day, in the region's time zone, in which it starts.",
        required=True,
    ),
    _how("start_ts", TIMESTAMP, "Where it begins to move."),
    _how("end_ts", TIMESTAMP, "Where it has moved last."),
    Column("start_lat", _F8, _WHERE, "Where it starts.", unit="deg"),
    Column("start_lon", _F8, _WHERE, "Where it starts.", unit="deg"),
    Column("end_lat", _F8, _WHERE, "Where it ends.", unit="deg"),
    Column("end_lon", _F8, _WHERE, "Where it ends.", unit="deg"),
    _how("distance_km", _F8, "By the odometer where that is plausible, else haversine over its good positions.", "km"),
    _how("moving_s", _F8, "Time in motion.", "s"),
    _how("idle_s", _F8, "Standing within the trip, engine on or unknown.", "s"),
    _how("max_speed_kmh", _F8, "Highest unflagged speed.", "km/h", required=False),
    _how("fuel_l", _F8, "Fuel rate over time.", "l", required=False),
    _how("records", _I8, "Records within it."),
)

DEVICE_DAY: tuple[Column, ...] = (
    Column("device_id", pa.string(), _ID, "The device.", required=True),
    Column("day", pa.date32(), _HOW, "Business day in the region's time zone.", required=True),
    _how("records", _I8, "Records of the day in history."),
    _how("flagged", _I8, "Those with any flag."),
    _how("late", _I8, "Those that arrived more than an hour after their event time."),
    _how("first_ts", TIMESTAMP, "First record of the day."),
    _how("last_ts", TIMESTAMP, "Last record of the day."),
    _how("engine_s", _F8, "Engine on.", "s"),
    _how("moving_s", _F8, "In motion.", "s"),
    _how("idle_s", _F8, "Engine on, standing.", "s"),
    _how(
        "off_s",
        _F8,
        "Between the day's first and last record, standing with the engine off or, for minutes, unknown.",
        "s",
    ),
    _how("distance_gps_km", _F8, "Haversine between consecutive good positions of the day, but not at rest.", "km"),
    _how("distance_odometer_km", _F8, "Growth of the odometer from the day's readings.", "km", required=False),
    _how("max_speed_kmh", _F8, "Highest unflagged speed.", "km/h", required=False),
    _how("fuel_l", _F8, "Fuel rate over time.", "l", required=False),
    _how("trips", _I4, "Trips that start in the day."),
    _how(
        "unknown_s",
        _F8,
        "Between the day's first and last record, in gaps too long to tell; null where derived before it was counted.",
        "s",
        required=False,
    ),
)

PACKED_FORM = 2
"""Grows with each change of what a packed hour holds or how: hours of another form are packed anew."""
MOTION_HOUR: tuple[Column, ...] = (
    Column("device_id", pa.string(), _ID, "The device.", required=True),
    Column("hour", TIMESTAMP, _HOW, "UTC hour of the events.", required=True),
    Column(
        "moments",
        pa.binary(),
        _WHERE,
        "Its usable readings of the hour, packed (lake.derive.motion.packing).",
        required=True,
    ),
    Column(
        "faults",
        pa.list_(
            pa.struct([("code", pa.string()), ("first_ts", _I8), ("last_ts", _I8), ("records", _I8)]),
        ),
        _HOW,
        "Its fault codes by quarter of an hour (lake.derive.motion.faults), times in epoch microseconds.",
    ),
)

EPISODE: tuple[Column, ...] = (
    Column("episode_id", pa.string(), _ID, "Device, kind and start: the same in every derivation.", required=True),
    Column("device_id", pa.string(), _ID, "The device.", required=True),
    Column("day", pa.date32(), _HOW, "Business day, in the region's time zone, in which it starts.", required=True),
    Column(
        "kind",
        pa.string(),
        _HOW,
        "stop, idle, harsh_braking, harsh_acceleration, refuel or fuel_drop.",
        required=True,
    ),
    _how("start_ts", TIMESTAMP, "Where it begins."),
    _how("end_ts", TIMESTAMP, "Where it ends, or was last seen to last."),
    _how("ended", pa.bool_(), "Whether it ended before noon of the day after its start."),
    Column("lat", _F8, _WHERE, "Where the device is when it begins.", unit="deg"),
    Column("lon", _F8, _WHERE, "Where the device is when it begins.", unit="deg"),
    _how("duration_s", _F8, "From start to end.", "s"),
    _how("fuel_l", _F8, "Fuel rate over its time.", "l", required=False),
    _how(
        "value",
        _F8,
        "Of a harsh change of speed, km/h a second at its peak; of a refuel or drop, points of the tank.",
        required=False,
    ),
)

FAULT_DAY: tuple[Column, ...] = (
    Column("device_id", pa.string(), _ID, "The device.", required=True),
    Column("day", pa.date32(), _HOW, "Business day in the region's time zone.", required=True),
    Column("code", pa.string(), _HOW, "SAE J2012 DTC or J1939 SPN/FMI, as the device sent it.", required=True),
    _how("first_ts", TIMESTAMP, "First record of the day that has it."),
    _how("last_ts", TIMESTAMP, "Last record of the day that has it."),
    _how("records", _I8, "Records of the day that have it."),
)

TRIP_SCHEMA: pa.Schema = schema_of(TRIP)
EPISODE_SCHEMA: pa.Schema = schema_of(EPISODE)
FAULT_DAY_SCHEMA: pa.Schema = schema_of(FAULT_DAY)
MOTION_HOUR_SCHEMA: pa.Schema = schema_of(MOTION_HOUR)
DEVICE_DAY_SCHEMA: pa.Schema = schema_of(DEVICE_DAY)

PUBLISHED, WITHHELD = "published", "withheld"
"""What a release says of a cell. A withheld one has no values: too few, or too much one's own, or nothing at all."""


def _released(dimension: str, doc: str) -> tuple[Column, ...]:
    """The columns of a release by one dimension."""

    def known(name: str, kind: pa.DataType, doc: str) -> Column:
        return Column(name, kind, Privacy.AGGREGATE, doc, required=True)

    def amount(name: str, kind: pa.DataType, doc: str, unit: str | None = None) -> Column:
        return Column(name, kind, Privacy.AGGREGATE, f"{doc}; empty where withheld.", unit=unit)

    return (
        known("region", pa.string(), "Where it was made."),
        known("day", pa.date32(), "Business day of that region."),
        known(dimension, pa.string(), doc),
        known("status", pa.string(), "published or withheld."),
        amount("cohort", _I8, "Contributors, rounded to 5"),
        amount("devices", _I8, "Devices with a record that day, rounded to 5"),
        amount("records", _F8, "Records, 3 significant digits"),
        amount("engine_h", _F8, "Engine on, 3 significant digits", "h"),
        amount("moving_h", _F8, "In motion, 3 significant digits", "h"),
        amount("distance_km", _F8, "Distance, 3 significant digits", "km"),
    )


UTILISATION_DAY = _released("device_type", "A type of the closed vocabulary, or 'all'.")
UTILISATION_DAY_SCHEMA: pa.Schema = schema_of(UTILISATION_DAY)
"""The release `utilisation_day`: how machines were used, for everybody."""

CUSTOMER_DAY = _released("customer", "Whose fleets' devices these are; registry.fleet.customer.")
CUSTOMER_DAY_SCHEMA: pa.Schema = schema_of(CUSTOMER_DAY)
"""The release `customer_day`: a customer's totals, for that customer alone. Only these two tables' rows leave."""
CUSTOMER_PATTERN = "[A-Za-z0-9._:-]{1,64}"

DEVICE_TYPES: tuple[str, ...] = ("car", "van", "truck", "bus", "train", "machine", "unknown")
"""Closed vocabulary of registry.device.type; a release has no other value."""
