"""A mapping: how a file's columns, or a device's own JSON, become the record's fields. TOML, and
docs/how-to/replay-a-file.md explains each word. Replay reads columns by it, the gateway messages.
"""

import re
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec

from contracts.derived import DEVICE_TYPES
from contracts.errors import BadMapping
from contracts.record import CONTRACT, DEVICE_ID_PATTERN, LISTS, READINGS

TARGETS = tuple(column.name for column in CONTRACT if column.name not in ("device_id", "ts", "signals", "attributes"))
"""Fields that [fields] may set; [constants] may also set device_id."""
_NUMBERS = frozenset(column.name for column in READINGS)
_LISTS = tuple(column.name for column in LISTS)
_DEVICE_ID = re.compile(DEVICE_ID_PATTERN.removesuffix("$"), re.ASCII)

NULL_ANYWHERE = ("NULL", "null", "\\N", "#N/A")
"""What databases and spreadsheets write in a CSV file; no value in any of its columns."""
NULL_NO_TEXT = (
    *("", "-", "--", "?", "Null", "nil", "None", "none", "NONE"),
    *("NA", "N/A", "n/a", "na", "<NA>", "NaN", "nan", "NAN", "-nan", "#N/A N/A", "#NA", "NaT"),
)
"""No value either, where a number, a yes or no, an id or a code belongs; in a text of the user's it may be one."""
YES_NO = {
    **dict.fromkeys(("true", "t", "yes", "y", "on", "1", "1.0"), True),
    **dict.fromkeys(("false", "f", "no", "n", "off", "0", "0.0"), False),
}
"""Spellings of yes and no that CSV tools write, in lower case."""


class Source(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One column of the file, as value * factor + offset, rounded to `decimals` places where given."""

    column: str
    factor: float = 1.0
    offset: float = 0.0
    decimals: int | None = None
    convert: Literal["degrees_minutes", "degrees_minutes_seconds"] | None = None
    """How degrees are written: 5231.5000 (as NMEA 0183 does) or 523130.00, both 52.525 degrees."""
    hemisphere: str | None = None
    """The column with N, S, E or W; S and W make the value negative."""
    separator: str | None = None
    """What stands between the entries of a list, such as fault_codes, in a text."""

    @property
    def scaled(self) -> bool:
        """Whether values differ from the file's by a factor, an offset or rounding."""
        return self.factor != 1.0 or self.offset != 0.0 or self.decimals is not None

    @property
    def is_angle(self) -> bool:
        """Whether values are written as degrees of a special form."""
        return self.convert is not None or self.hemisphere is not None

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it reads."""
        return (self.column,) if self.hemisphere is None else (self.column, self.hemisphere)


SourceText: TypeAlias = str | Source


class DeviceId(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the device's id comes from; the prefix keeps the ids of two publishers apart."""

    column: str = "device_id"
    prefix: str = ""


class EventTime(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the event time comes from. unit: of a number. zone: of times that carry none (IANA name). format: the
    strptime pattern of times that are not ISO 8601.
    """

    column: str = "ts"
    unit: Literal["s", "ms", "us", "ns"] = "ms"
    zone: str | None = None
    format: str | None = None

    def __post_init__(self) -> None:
        if self.format is not None and "%" not in self.format:
            raise ValueError(f"[ts] format {self.format!r} is no strptime pattern, such as '%d/%m/%Y %H:%M:%S'")


class FromColumn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A registry text that differs by device: what this column has in the device's first row."""

    column: str


class RegistryRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the registry is told about the file's devices."""

    fleet: str
    """The fleet's id; `name` is what people read."""
    name: str
    type: str = "unknown"
    make: str | FromColumn | None = None
    model: str | FromColumn | None = None
    fuel: str | FromColumn | None = None

    def __post_init__(self) -> None:
        if self.type not in DEVICE_TYPES:
            raise ValueError(f"type {self.type!r} is none of {', '.join(DEVICE_TYPES)}")


class Mapping(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The whole mapping. A contract column of the file that nothing here names keeps its name and value."""

    description: str = ""
    sort_by: Literal["ts"] | None = None
    """Send by event time instead of in file order; reads the file's used columns into memory."""
    rest: Literal["send", "drop"] = "send"
    """Columns that nothing names: numbers to signals and texts to attributes under their own names, or nothing."""
    drop: list[str] = []
    delimiter: str | None = None
    """Between the cells of a CSV file; found out where it is not given."""
    decimal: Literal[".", ","] | None = None
    """The decimal mark of numbers in text; found out where it is not given."""
    encoding: str | None = None
    """Of a text file that is neither UTF-8 nor UTF-16 with a byte order mark, such as windows-1252."""
    null: list[str] | None = None
    """Texts that stand for no value, in every column, instead of NULL_ANYWHERE and NULL_NO_TEXT."""
    device_id: DeviceId = DeviceId()
    ts: EventTime = EventTime()
    fields: dict[str, SourceText] = {}
    signals: dict[str, SourceText] = {}
    attributes: dict[str, str] = {}
    constants: dict[str, str | float | bool] = {}
    registry: RegistryRule | None = None

    def __post_init__(self) -> None:
        for table, names in (("fields", self.fields), ("constants", self.constants)):
            for name in names:
                if name not in TARGETS and (table, name) != ("constants", "device_id"):
                    raise ValueError(f"[{table}] sets {name!r}, which is none of the record's {', '.join(TARGETS)}")
        if twice := sorted(set(self.fields) & set(self.constants)):
            raise ValueError(f"{twice[0]!r} is both in [fields] and in [constants]")
        if self.delimiter is not None and (len(self.delimiter) != 1 or not self.delimiter.isascii()):
            raise ValueError(f"delimiter {self.delimiter!r} is not one ASCII character")
        if self.delimiter is not None and self.delimiter == self.decimal:
            raise ValueError(f"delimiter and decimal are both {self.decimal!r}")
        for name, value in self.constants.items():
            _check_constant(name, value)
        for table, sources in (("fields", self.fields), ("signals", self.signals)):
            for name, source in sources.items():
                _check_source(f"[{table}] {name}", name, as_source(source))


def as_source(source: SourceText) -> Source:
    """The long form of a source: `"speed"` is `{ column = "speed" }`."""
    return source if isinstance(source, Source) else Source(source)


def _check_constant(name: str, value: str | float | bool) -> None:
    """Raises ValueError where the consumer would not take it."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if name == "device_id" and not (isinstance(value, str) and _DEVICE_ID.fullmatch(value)):
        raise ValueError(f"[constants] device_id {value!r} is no text of 1 to 128 of A-Za-z0-9._:-")
    if name in _NUMBERS and not is_number:
        raise ValueError(f"[constants] {name} {value!r} is no number")
    if name == "engine_on" and not isinstance(value, bool):
        raise ValueError(f"[constants] engine_on {value!r} is neither true nor false")


def _check_source(place: str, name: str, source: Source) -> None:
    """Raises ValueError where a word does not apply to what the source feeds."""
    if source.separator is not None and (name not in _LISTS or not source.separator):
        raise ValueError(
            f"{place} has a separator; only a list ({', '.join(_LISTS)}) has one, of at least one character"
        )
    if name in TARGETS and name not in _NUMBERS and (source.scaled or source.is_angle):
        raise ValueError(f"{place} is no number: factor, offset, decimals, convert and hemisphere do not apply")


def read_mapping(path: Path) -> Mapping:
    """The mapping of a file. Raises BadMapping where it cannot be read or is malformed, FileNotFoundError for none."""
    try:
        return msgspec.toml.decode(path.read_bytes(), type=Mapping)
    except FileNotFoundError:
        raise
    except (OSError, UnicodeDecodeError) as error:
        raise BadMapping(f"mapping {path} cannot be read: {error}") from None
    except (msgspec.MsgspecError, ValueError) as error:
        raise BadMapping(f"mapping {path} is malformed: {error}") from None
