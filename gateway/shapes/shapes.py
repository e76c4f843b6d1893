"""The shapes that a region's devices speak besides the contract's own: a file, by FLEETLAKE_GATEWAY_SHAPES."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from contracts.errors import BadMapping
from contracts.mapping import Mapping, read_mapping
from gateway.identity.model import Identity
from gateway.refusals import Refusal, Refused
from gateway.shapes.translate import Translator

Split = Callable[[bytes], list[bytes]]
"""A payload's records."""
OWN_TOPIC, OWN_PATH = "v1/devices/DEVICE/telemetry", "/v1/telemetry"
DEVICE, ONE, ALL = "{device}", "+", "#"


class Shape(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Messages of one topic filter or of one path, and how they become records."""

    name: str
    topic: str | None = None
    """An MQTT topic filter, with + and #; a level that is {device} names the device."""
    path: str | None = None
    """Of a POST."""
    records: str | None = None
    """Where a message has the list of its records: a path such as `data.positions`; unset, the message is a record."""
    mapping: str | Mapping
    """A file beside this one, or the mapping itself as tables below `shape.mapping`."""

    def __post_init__(self) -> None:
        if (self.topic is None) == (self.path is None):
            raise ValueError(f"shape {self.name!r} has a topic or a path, and not both")
        if self.topic is not None:
            _check_topic(self.name, self.topic)
        if self.path is not None and (not self.path.startswith("/") or self.path == OWN_PATH or "?" in self.path):
            raise ValueError(f"shape {self.name!r}: path {self.path!r} is no path of its own, such as /vendor/v2")


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    shape: list[Shape]


class Shapes:
    """Finds the shape of a topic or a path. The first that fits counts, in the file's order."""

    def __init__(self, shapes: Sequence[tuple[Shape, Translator]] = ()) -> None:
        self._topics = [(str(shape.topic).split("/"), made) for shape, made in shapes if shape.topic is not None]
        self._paths = {shape.path: made for shape, made in shapes if shape.path is not None}

    def of_topic(self, topic: str, identity: Identity) -> Split | None:
        """How a message on that topic is taken apart; None where no shape has it.

        Raises Refused where the topic names a device that the sender does not speak for.
        """
        levels = topic.split("/") if self._topics else []
        for pattern, translator in self._topics:
            fits, named = match(pattern, levels)
            if not fits:
                continue
            if named is not None and not identity.may_speak_for(translator.device_of(named)):
                raise Refused(Refusal.OTHER_DEVICE, "the topic is of another device than the sender's")
            return partial(translator.records_of, sender=identity.device_id, named=named)
        return None

    def of_path(self, path: str, identity: Identity) -> Split | None:
        """How the body of a POST to that path is taken apart; None where no shape has it."""
        translator = self._paths.get(path)
        return None if translator is None else partial(translator.records_of, sender=identity.device_id, named=None)

    def has_path(self, path: str) -> bool:
        """Whether a shape has that path."""
        return path in self._paths


def load_shapes(path: Path | None) -> Shapes:
    """The shapes of a file; without one, none. Raises BadMapping, which names the file and what is wrong with it."""
    if path is None:
        return Shapes()
    try:
        listed = msgspec.toml.decode(path.read_bytes(), type=_File).shape
        _check_apart(listed)
        return Shapes([(shape, _translator(shape, path.parent)) for shape in listed])
    except (OSError, UnicodeDecodeError) as error:
        raise BadMapping(f"FLEETLAKE_GATEWAY_SHAPES: {path} cannot be read: {error}") from None
    except (msgspec.MsgspecError, ValueError, BadMapping) as error:
        raise BadMapping(f"FLEETLAKE_GATEWAY_SHAPES: {path} is malformed: {error}") from None


def match(pattern: Sequence[str], levels: Sequence[str]) -> tuple[bool, str | None]:
    """Whether a topic's levels fit a filter's, and the device that they name."""
    if levels[0].startswith("$") and pattern[0] in (ONE, ALL, DEVICE):  # MQTT 5, 4.7.2
        return False, None
    named = None
    for place, wanted in enumerate(pattern):
        if wanted == ALL:
            return True, named
        if place >= len(levels):
            return False, None
        if wanted == DEVICE:
            named = levels[place]
        elif wanted not in (ONE, levels[place]):
            return False, None
    return (True, named) if len(levels) == len(pattern) else (False, None)


def _translator(shape: Shape, folder: Path) -> Translator:
    try:
        mapping = read_mapping(folder / shape.mapping) if isinstance(shape.mapping, str) else shape.mapping
        return Translator(mapping, shape.records)
    except FileNotFoundError:
        raise BadMapping(f"shape {shape.name!r}: there is no mapping {shape.mapping!r} beside this file") from None
    except BadMapping as error:
        raise BadMapping(f"shape {shape.name!r}: {error}") from None


def _check_topic(name: str, topic: str) -> None:
    """Raises ValueError where it is no filter, or takes the contract's own topic."""
    levels = topic.split("/")
    wrong = [level for level in levels if level not in (DEVICE, ONE, ALL) and any(sign in level for sign in "+#{}")]
    if not topic or "\0" in topic or wrong or ALL in levels[:-1] or levels.count(DEVICE) > 1:
        raise ValueError(
            f"shape {name!r}: topic {topic!r} is no filter: levels are texts, + or {{device}} (once), and # at the end"
        )
    if match(levels, OWN_TOPIC.split("/"))[0]:
        raise ValueError(f"shape {name!r}: topic {topic!r} takes the contract's own {OWN_TOPIC}")


def _check_apart(shapes: Sequence[Shape]) -> None:
    """Raises ValueError where two shapes have one name, topic or path."""
    for what in ("name", "topic", "path"):
        seen: set[Any] = set()
        for shape in shapes:
            value = getattr(shape, what)
            if value is not None and value in seen:
                raise ValueError(f"two shapes have {what} {value!r}")
            seen.add(value)
