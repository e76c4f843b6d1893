"""Lists and maps of a record, such as fault_codes and signals. An entry that cannot be sent costs that entry alone."""

import ast
import math
from typing import Any

import msgspec

from devices.replay.findings import NO_NUMBER, NOT_FINITE, NULL_ENTRY, Findings
from devices.replay.texts import as_text


def codes_in_text(text: str, separator: str | None) -> list[Any]:
    """Codes as a text has them: a JSON list, else what stands between separators; without one, a list of one."""
    found = _json(text) if text.lstrip().startswith("[") else None
    if isinstance(found, list):
        return found
    parts = [text] if separator is None else text.split(separator)
    return [code for part in parts if (code := part.strip())]


def map_in_text(text: str) -> dict[str, Any] | None:
    """A map as a text has it, in JSON, or None."""
    found = _json(text) if text.lstrip().startswith("{") else None
    return found if isinstance(found, dict) else None


def clean_codes(codes: Any, column: str, findings: Findings) -> list[str]:
    """Codes as texts, without nulls."""
    listed = codes if isinstance(codes, list) else [codes]
    kept = [as_text(code) for code in listed if code is not None]
    findings.drop(column, NULL_ENTRY, len(listed) - len(kept))
    return kept


def clean_numbers(entries: Any, column: str, findings: Findings) -> Any:
    """A map's entries that are numbers, in text too."""
    if not isinstance(entries, dict):
        return entries
    made = {}
    for name, value in entries.items():
        if value is None:
            findings.drop(column, NULL_ENTRY)
            continue
        number = _number(value)
        if number is None:
            findings.drop(column, NO_NUMBER)
        elif not math.isfinite(number):
            findings.drop(column, NOT_FINITE)
        else:
            made[str(name)] = number
    return made if made or not entries else None


def clean_texts(entries: Any, column: str, findings: Findings) -> Any:
    """A map's entries as texts, without nulls."""
    if not isinstance(entries, dict):
        return entries
    kept = {str(name): as_text(value) for name, value in entries.items() if value is not None}
    findings.drop(column, NULL_ENTRY, len(entries) - len(kept))
    return kept if kept or not entries else None


def _number(value: Any) -> int | float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return value
    if not isinstance(value, str) or "_" in value:
        return None
    try:
        return float(value)
    except ValueError:
        return None


def _json(text: str) -> Any:
    """What the text says in JSON, or as Python writes a list or map (pandas does, in CSV); None for neither."""
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        pass
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        return None
