"""A mapping: how a file's columns become the record's fields. TOML; docs/how-to/replay-a-file.md explains each word."""

from pathlib import Path
from typing import Literal, TypeAlias

import msgspec

from contracts.derived import DEVICE_TYPES
from contracts.errors import BadMapping
from contracts.record import CONTRACT

_FOLDER = Path(__file__).resolve().parent.parent / "mappings"
TARGETS = tuple(column.name for column in CONTRACT if column.name not in ("device_id", "ts", "signals", "attributes"))
"""Fields that [fields] and [constants] may set."""


class Source(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One column of the file, as value * factor + offset, rounded to `decimals` places where given."""

    column: str
    factor: float = 1.0
    offset: float = 0.0
    decimals: int | None = None

    @property
    def scaled(self) -> bool:
        """Whether values differ from the file's."""
        return self.factor != 1.0 or self.offset != 0.0 or self.decimals is not None


SourceText: TypeAlias = str | Source


class DeviceId(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the device's id comes from; the prefix keeps the ids of two publishers apart."""

    column: str = "device_id"
    prefix: str = ""


class EventTime(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the event time comes from. unit: of a number. zone: of times that carry none (IANA name)."""

    column: str = "ts"
    unit: Literal["s", "ms", "us", "ns"] = "ms"
    zone: str | None = None


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
                if name not in TARGETS:
                    raise ValueError(f"[{table}] sets {name!r}, which is none of the record's {', '.join(TARGETS)}")
        if twice := sorted(set(self.fields) & set(self.constants)):
            raise ValueError(f"{twice[0]!r} is both in [fields] and in [constants]")


def as_source(source: SourceText) -> Source:
    """The long form of a source: `"speed"` is `{ column = "speed" }`."""
    return source if isinstance(source, Source) else Source(source)


def shipped_mappings() -> dict[str, Path]:
    """The mappings that ship with Fleetlake, by name."""
    return {path.stem: path for path in sorted(_FOLDER.glob("*.toml"))}


def load_mapping(name: str | None) -> Mapping:
    """A shipped mapping by its name, or one from a path; without a name the one that changes nothing.

    Raises BadMapping where there is none, or it is malformed.
    """
    if name is None:
        return Mapping()
    shipped = shipped_mappings()
    path = shipped.get(name.removesuffix(".toml"), Path(name))
    try:
        return msgspec.toml.decode(path.read_bytes(), type=Mapping)
    except FileNotFoundError:
        raise BadMapping(f"no mapping {name!r}: neither a file nor one of {', '.join(shipped)}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise BadMapping(f"mapping {path} cannot be read: {error}") from None
    except (msgspec.MsgspecError, ValueError) as error:
        raise BadMapping(f"mapping {path} is malformed: {error}") from None
