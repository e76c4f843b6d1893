"""Great Expectations as asset checks: counts go to Dagster, never a value.

Great Expectations takes seconds to import, so its classes are named by `Expect` and looked up inside the check.
"""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import msgspec
from dagster import (
    AssetCheckResult,
    AssetChecksDefinition,
    AssetCheckSeverity,
    AssetKey,
    MetadataValue,
    ResourceParam,
    asset_check,
)

from assets.redaction import without_values
from assets.work import Checking
from contracts.columns import Column, Privacy

if TYPE_CHECKING:
    import pandas as pd

BOOLEAN_ONLY: Literal["BOOLEAN_ONLY"] = "BOOLEAN_ONLY"
BASIC: Literal["BASIC"] = "BASIC"
KEPT = ("element_count", "unexpected_count")
"""All that is copied from a result: BASIC results also hold sample values."""


_NOTHING_READ = (
    "No row was read, so nothing is proven. Where the region has data, see whether its days are merged, derived and "
    "built (`fleetlake status`); in a new region the check passes once they are."
)


class Expect(msgspec.Struct, frozen=True):
    """One expectation: the name of its class in great_expectations.expectations, and its arguments."""

    kind: str
    arguments: Mapping[str, Any]
    counted: bool = True
    """Whether Great Expectations may collect what it found; not on columns that identify someone."""


Outcome = tuple[Expect, bool, Mapping[str, Any]]
"""An expectation, whether it was met, and its counts."""


def gx_check(
    name: str,
    asset: AssetKey,
    batch: "Callable[[Checking], pd.DataFrame]",
    expectations: Sequence[Expect],
    description: str,
) -> AssetChecksDefinition:
    """A check that validates `batch(checking)` against `expectations`. It fails where there is no row to validate."""

    @asset_check(name=name, asset=asset, description=description)
    def check(checking: ResourceParam[Checking]) -> AssetCheckResult:
        with without_values(f"check {name}"):
            frame = batch(checking)
            return _result(len(frame), _validate(frame, expectations) if len(frame) else [])

    return check


def bounds_of(columns: Iterable[Column]) -> list[Expect]:
    """What contracts say of the columns: required ones are there, readings lie in their bounds unless flagged."""
    found: list[Expect] = []
    for column in columns:
        counted = column.privacy is not Privacy.IDENTIFIER
        if column.required:
            found.append(Expect("ExpectColumnValuesToNotBeNull", {"column": column.name}, counted))
        if column.low is not None:
            limits = {"column": column.name, "min_value": column.low, "max_value": column.high}
            unflagged = {"row_condition": "flags == 0", "condition_parser": "pandas"}
            found.append(Expect("ExpectColumnValuesToBeBetween", limits | unflagged, counted))
    return found


def _validate(frame: "pd.DataFrame", expectations: Sequence[Expect]) -> list[Outcome]:
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    import great_expectations as gx
    from great_expectations import expectations as kinds

    source = gx.get_context(mode="ephemeral").data_sources.add_pandas("frame")
    batch = (
        source.add_dataframe_asset("frame").add_batch_definition_whole_dataframe("all").get_batch({"dataframe": frame})
    )
    outcomes: list[Outcome] = []
    for expect in expectations:
        told = batch.validate(
            getattr(kinds, expect.kind)(**expect.arguments), result_format=BASIC if expect.counted else BOOLEAN_ONLY
        )
        outcomes.append((expect, bool(told.success), {key: told.result[key] for key in KEPT if key in told.result}))
    return outcomes


def _result(rows: int, outcomes: list[Outcome]) -> AssetCheckResult:
    lines = ["| expectation | on | met | rows | unexpected |", "|---|---|---|---:|---:|"]
    for expect, met, counts in outcomes:
        on = expect.arguments.get("column") or ", ".join(expect.arguments.get("column_list", ()))
        rows, unexpected = (counts.get(key, "") for key in KEPT)
        lines.append(f"| {expect.kind} | {on} | {'yes' if met else '**no**'} | {rows} | {unexpected} |")
    return AssetCheckResult(
        passed=rows > 0 and all(met for _, met, _ in outcomes),
        severity=AssetCheckSeverity.ERROR,
        metadata={
            "rows": rows,
            "expectations": len(outcomes),
            "unmet": sum(not met for _, met, _ in outcomes),
            "results": MetadataValue.md("\n".join(lines) if rows else _NOTHING_READ),
        },
    )
