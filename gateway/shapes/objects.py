"""A device's JSON taken apart: flat, with paths as names, and the records that lie in a list within."""

from typing import Any

import msgspec

from gateway.intake.payload import MOST_RECORDS
from gateway.refusals import Refusal, Refused

OWN_MAPS = frozenset({"signals", "attributes"})
DEEPEST = 8
"""Objects within each other that are taken apart; what is deeper is one value."""


def read_object(data: bytes) -> dict[str, Any]:
    """A JSON object. Raises Refused."""
    try:
        found = msgspec.json.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise Refused(Refusal.BAD_PAYLOAD, "the message is no JSON object, or holds what is none")
    return found


def records_within(found: dict[str, Any], path: str | None) -> list[dict[str, Any]]:
    """The objects of the list at that path, each with what stands around the list too; without a path the object.

    Raises Refused where there is no list of objects.
    """
    if path is None:
        return [found]
    *way, last = path.split(".")
    holder: Any = found
    for step in way:
        holder = holder.get(step) if isinstance(holder, dict) else None
    listed = holder.get(last) if isinstance(holder, dict) else None
    if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
        raise Refused(Refusal.BAD_PAYLOAD, f"the message has no list of objects at {path}")
    if len(listed) > MOST_RECORDS:
        raise Refused(Refusal.TOO_LARGE, f"{len(listed)} records in one message; it may have {MOST_RECORDS}")
    around = _without(found, [*way, last])
    return [{**around, **one} for one in listed]


def flat(found: dict[str, Any], named: frozenset[str]) -> dict[str, Any]:
    """The object's members by path; a member of that very name goes before a path. The record's own maps stay whole.

    named: paths that lead into those maps and are wanted too.
    """
    if not any(isinstance(value, dict) for value in found.values()):
        return found
    made = {name: value for name, value in found.items() if not isinstance(value, dict) or name in OWN_MAPS}
    _leaves(found, "", 1, made)
    for path in named:
        value: Any = found
        for step in path.split("."):
            value = value.get(step) if isinstance(value, dict) else None
        if value is not None:
            made.setdefault(path, value)
    return made


def _leaves(found: dict[str, Any], before: str, depth: int, made: dict[str, Any]) -> None:
    """Values below an object's own objects, by their paths."""
    for name, value in found.items():
        path = f"{before}{name}"
        if depth == 1 and (name in OWN_MAPS or not isinstance(value, dict)):
            continue
        if isinstance(value, dict) and depth < DEEPEST:
            _leaves(value, f"{path}.", depth + 1, made)
        else:
            made.setdefault(path, value)


def _without(found: dict[str, Any], way: list[str]) -> dict[str, Any]:
    """The object less the member at that path."""
    first, *rest = way
    if not rest:
        return {name: value for name, value in found.items() if name != first}
    return {name: _without(value, rest) if name == first else value for name, value in found.items()}
