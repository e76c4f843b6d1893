"""The record, contract v1.1: what a device may send, and what landing and history keep of it."""

from enum import IntFlag, StrEnum
from typing import Any

import msgspec
import pyarrow as pa

from contracts.columns import TIMESTAMP, Column, Privacy, schema_of

MAX_RECORD_BYTES = 64 * 1024
MAX_EVENT_ID = 64
DEVICE_ID_PATTERN = r"^[A-Za-z0-9._:\-]{1,128}$"
EARLIEST_TS_MS = 946_684_800_000
"""2000-01-01T00:00:00Z; an earlier event time is impossible."""
LATEST_AHEAD_MS = 5 * 60 * 1000
"""How far an event time may lie after its arrival."""
AHEAD_NOTED_MS = 5 * 1000
"""From here on a clock that runs ahead is flagged."""
GPS_ROLLOVER_MS = 1024 * 7 * 86_400_000
"""How often the ten bits of GPS weeks begin anew."""
ROLLOVER_NOTED_MS = 86_400_000
"""How near to that an event time before its arrival is flagged."""

_ID, _WHERE, _HOW = Privacy.IDENTIFIER, Privacy.LOCATION, Privacy.BEHAVIOUR
_F8 = pa.float64()


def _reading(name: str, unit: str, low: float, high: float, doc: str, privacy: Privacy = _HOW) -> Column:
    return Column(name, _F8, privacy, doc, unit=unit, low=low, high=high)


READINGS: tuple[Column, ...] = (
    _reading("lat", "deg", -90, 90, "Latitude, WGS 84.", _WHERE),
    _reading("lon", "deg", -180, 180, "Longitude, WGS 84.", _WHERE),
    _reading("altitude_m", "m", -500, 9_000, "Height above the ellipsoid.", _WHERE),
    _reading("speed_kmh", "km/h", 0, 300, "Speed over ground."),
    _reading("heading_deg", "deg", 0, 360, "Course over ground, clockwise from north.", _WHERE),
    _reading("odometer_km", "km", 0, 10_000_000, "Total distance that the device has counted."),
    _reading("engine_rpm", "1/min", 0, 20_000, "Engine speed."),
    _reading("engine_load_pct", "%", 0, 100, "Calculated engine load."),
    _reading("coolant_c", "degC", -60, 200, "Coolant temperature."),
    _reading("fuel_pct", "%", 0, 100, "Fuel level."),
    _reading("fuel_rate_lph", "l/h", 0, 500, "Fuel burnt an hour."),
    _reading("engine_hours_h", "h", 0, 1_000_000, "Hours that the engine has run in its life (J1939 SPN 247)."),
    _reading("fuel_used_l", "l", 0, 100_000_000, "Fuel that it has used in its life (J1939 SPN 250)."),
    _reading("idle_fuel_used_l", "l", 0, 100_000_000, "Fuel that it has used at idle in its life (J1939 SPN 236)."),
)
"""The numeric fields of the record, all optional."""

CONTRACT: tuple[Column, ...] = (
    Column("device_id", pa.string(), _ID, "The device: 1-128 of A-Za-z0-9._:-", required=True),
    Column("ts", TIMESTAMP, Privacy.BEHAVIOUR, "Event time, whole milliseconds, UTC.", required=True),
    Column("event_id", pa.string(), _ID, "The device's own message id, at most 64 characters."),
    *READINGS,
    Column("driver_id", pa.string(), _ID, "Who drives: a driver card's number, or any name of one person."),
    Column("engine_on", pa.bool_(), _HOW, "Whether the engine runs."),
    Column("fault_codes", pa.list_(pa.string()), _HOW, "SAE J2012 DTC or J1939 SPN/FMI, as text."),
    Column(
        "fault_lamps",
        pa.list_(pa.string()),
        _HOW,
        "How severe the faults are: the lamps lit, such as malfunction, red_stop, amber_warning, protect (J1939 DM1).",
    ),
    Column("signals", pa.map_(pa.string(), _F8), Privacy.FREE_TEXT, "Further readings by name."),
    Column("attributes", pa.map_(pa.string(), pa.string()), Privacy.FREE_TEXT, "Further texts by name."),
)
"""The fields that a device sends, in the contract's order."""

TEXTS: tuple[Column, ...] = tuple(
    column for column in CONTRACT if column.type == pa.string() and column.name not in ("device_id", "event_id")
)
"""The fields that hold any text. A new one is a Column of type string in CONTRACT."""

LISTS: tuple[Column, ...] = tuple(column for column in CONTRACT if column.type == pa.list_(pa.string()))
"""The fields that hold a list of texts."""

ENVELOPE: tuple[Column, ...] = (
    Column("record_id", pa.string(), _ID, "Third part of the identity: see contracts.identity.", required=True),
    Column("arrival_ts", TIMESTAMP, Privacy.TECHNICAL, "Kinesis ApproximateArrivalTimestamp.", required=True),
    Column("shard_id", pa.string(), Privacy.TECHNICAL, "Shard it was read from.", required=True),
    Column(
        "sequence_number",
        pa.string(),
        Privacy.TECHNICAL,
        "Sequence number of its Kinesis record.",
        required=True,
    ),
    Column("sub_sequence", pa.int32(), Privacy.TECHNICAL, "Place within a KPL aggregate, from 0.", required=True),
    Column("flags", pa.int32(), Privacy.TECHNICAL, "Bits of contracts.record.Flag.", required=True),
)
"""What the way through the stream adds."""

LANDING: tuple[Column, ...] = CONTRACT + ENVELOPE
LANDING_SCHEMA: pa.Schema = schema_of(LANDING)
"""Landing objects and history.telemetry have these columns, in this order."""
NULLABLE_LANDING_SCHEMA: pa.Schema = pa.schema([field.with_nullable(True) for field in LANDING_SCHEMA])
"""The same for rows that may lack a required column: those of an older version of the contract, or of live state."""

REJECTED: tuple[Column, ...] = (
    Column("reason", pa.string(), Privacy.TECHNICAL, "A RejectReason.", required=True),
    Column(
        "error",
        pa.string(),
        Privacy.TECHNICAL,
        "What was wrong, without values of the record.",
        required=True,
    ),
    Column("data", pa.binary(), Privacy.FREE_TEXT, "The original bytes.", required=True),
    Column("partition_key", pa.string(), _ID, "Partition key of the Kinesis record."),
    *ENVELOPE[1:5],
    Column("replayed_at", TIMESTAMP, Privacy.TECHNICAL, "When it was put back on the stream."),
)
REJECTED_SCHEMA: pa.Schema = schema_of(REJECTED)
"""Objects below rejected/ have these columns."""


class Flag(IntFlag):
    """What is odd about a record that was kept as sent."""

    NULL_ISLAND = 1
    """Latitude and longitude are both 0 within 1e-6 degrees: a receiver without a fix."""
    POSITION_OUT_OF_RANGE = 2
    POSITION_INCOMPLETE = 4
    """One of latitude and longitude without the other."""
    VALUE_OUT_OF_RANGE = 8
    """A reading other than the position or the speed outside its bounds."""
    IMPOSSIBLE_SPEED = 16
    """speed_kmh outside its bounds."""
    CLOCK_AHEAD = 32
    """The event time lies more than AHEAD_NOTED_MS after the arrival."""
    WRONG_TYPE = 64
    """An optional field had the wrong type: it is null, what was sent is in `attributes` as JSON."""
    WEEK_ROLLOVER = 128
    """The event time lies 1,024 weeks before the arrival, to a day: a receiver whose count of GPS weeks, of ten bits,
    began anew. The time stays as sent: it is part of the record's identity."""
    NOT_AVAILABLE = 256
    """A reading is a code for "not available" or "error" (contracts.not_available); derivations leave it out."""


BAD_POSITION: int = Flag.NULL_ISLAND | Flag.POSITION_OUT_OF_RANGE | Flag.POSITION_INCOMPLETE
"""A record with one of these bits has no position that a trip, a map or a mart may use."""


class RejectReason(StrEnum):
    """Why a record cannot be placed. The values are folder names below rejected/."""

    NOT_JSON = "not_json"
    """Not one JSON object in UTF-8."""
    TOO_LARGE = "too_large"
    BAD_DEVICE_ID = "bad_device_id"
    """Missing, of the wrong type or not in the pattern."""
    BAD_TS = "bad_ts"
    """Missing, of the wrong type, without an offset, or not a time."""
    IMPOSSIBLE_TS = "impossible_ts"
    """Before 2000, or more than 5 minutes after its arrival."""
    BAD_AGGREGATE = "bad_aggregate"
    """A KPL frame that does not decode, or exceeds the caps on records and bytes."""
    WRONG_REGION = "wrong_region"
    """Of a device that the registry says is at home in another region: it stays in the region that it arrived in."""
    POISON = "poison"
    """Broke the decoder or a sink in a way of its own; `error` has the class."""


def _python_type(column: Column) -> Any:
    if column.type == _F8:
        return float
    if column.type == pa.bool_():
        return bool
    if pa.types.is_list(column.type):
        return list[str]
    if pa.types.is_map(column.type):
        return dict[str, float] if column.type.item_type == _F8 else dict[str, str]
    return str


def _struct_fields() -> list[Any]:
    fields: list[Any] = []
    for column in CONTRACT:
        if column.name == "ts":
            fields.append(("ts", int | str))
        elif column.required:
            fields.append((column.name, _python_type(column)))
        else:
            fields.append((column.name, _python_type(column) | None, None))
    return fields


Record = msgspec.defstruct("Record", _struct_fields(), module=__name__, kw_only=False)
"""One record as a device sends it, made from CONTRACT: ts is RFC 3339 text or epoch milliseconds."""
