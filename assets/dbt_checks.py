"""Descriptions of dbt's tests as asset checks: the test's own `description`, else a sentence about its columns."""

from collections.abc import Mapping
from typing import Any

_SENTENCES = {
    "accepted_values": "`{column}` is one of {values}.",
    "at_most": "`{column}` is at most `{other}` of the same row.",
    "multiple_of": "`{column}` is a multiple of {step}.",
    "not_negative": "`{column}` is not negative.",
    "not_null": "`{column}` is not null.",
    "relationships": "Each `{column}` is a `{field}` of {to}.",
    "unique": "No two rows have the same `{column}`.",
    "unique_together": "No two rows have the same {columns}.",
    "within_a_day": "`{column}` is between 0 and 25 h, the longest business day.",
}
"""By the name of a generic test. A new generic test in dbt_project/tests/generic gets its line here."""


def description_of(manifest: Mapping[str, Any], test_unique_id: str) -> str:
    """What the test checks and, where it is on one column, what the column means."""
    test = manifest["nodes"][test_unique_id]
    if test.get("description"):
        return str(test["description"])
    column = test.get("column_name")
    return " ".join(part for part in (_sentence(test, column), _meaning(manifest, test, column)) if part)


def _sentence(test: Mapping[str, Any], column: str | None) -> str:
    generic = test.get("test_metadata") or {}
    sentence = _SENTENCES.get(generic.get("name", ""))
    if sentence is None:
        return f"The query of dbt's test {test['name']} returns no row."
    arguments = {name: _in_words(value) for name, value in generic["kwargs"].items() if name != "model"}
    return sentence.format(**{"column": column, **arguments})


def _meaning(manifest: Mapping[str, Any], test: Mapping[str, Any], column: str | None) -> str:
    tested = {**manifest["nodes"], **manifest["sources"]}.get(test.get("attached_node") or "", {})
    described = (tested.get("columns") or {}).get(column, {}).get("description")
    return f"`{column}`: {described}" if described else ""


def _in_words(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return str(value).removeprefix("ref('").removesuffix("')")
