"""The check that the newest day is like those before it."""

from typing import TYPE_CHECKING, NamedTuple

from dagster import (
    AssetCheckResult,
    AssetChecksDefinition,
    AssetCheckSeverity,
    MetadataValue,
    ResourceParam,
    asset_check,
)

from assets import keys
from assets.redaction import without_values
from assets.work import Checking
from contracts.regions import Region

if TYPE_CHECKING:
    import pandas as pd

_BASELINE, _LEAST_BASELINE = 28, 7
"""Days that a day is compared with."""
_TOLERATED = 2.0
_LEAST_FIGURE = 0.01
"""A share or a time below it has no ratio worth the name."""


def days_are_usual(region: Region) -> AssetChecksDefinition:
    """Whether the newest day is like those before it."""

    @asset_check(
        asset=keys.mart(region.name, "device_day"),
        description=f"The newest day that is over lies within {_TOLERATED:g} times the usual, and above the usual "
        f"divided by it, where the usual is the median of the same figure over the {_BASELINE} days before. A unit "
        "that changed, a fleet that fell silent and a decoder that went wrong show here. Look at what changed in what "
        "devices send, and at the release of the producers, before the figures go to anybody. It cannot pass on less "
        f"than {_LEAST_BASELINE} days.",
    )
    def device_day_is_usual(checking: ResourceParam[Checking]) -> AssetCheckResult:
        with without_values("check device_day_is_usual"):
            days = checking.usual_days(_BASELINE)
            unusual = unusual_figures(days) if len(days) else []
        compared = max(len(days) - 1, 0)
        lines = [f"| {one.figure} | {one.usual:,.4g} | {one.found:,.4g} |" for one in unusual]
        return AssetCheckResult(
            passed=not unusual and compared >= _LEAST_BASELINE,
            severity=AssetCheckSeverity.WARN,
            metadata={
                "days_compared": compared,
                "unusual": MetadataValue.md("\n".join(["| figure | usual | found |", "|---|---:|---:|", *lines])),
            },
        )

    return device_day_is_usual


class Unusual(NamedTuple):
    """A figure of the newest day that is far from what it was."""

    figure: str
    usual: float
    found: float


def unusual_figures(days: "pd.DataFrame") -> list[Unusual]:
    """Figures of the last row that are not within `_TOLERATED` times the median of the rows before, or missing.

    days: a row a day, oldest first, with column `day` and a column a figure; see Checking.usual_days.
    """
    figures = days.drop(columns="day").astype(float)
    before, last = figures.iloc[:-1].median(), figures.iloc[-1]
    told = []
    for figure in figures.columns:
        usual, found = float(before[figure]), float(last[figure])
        if usual > _LEAST_FIGURE and not usual / _TOLERATED <= found <= usual * _TOLERATED:
            told.append(Unusual(figure, usual, found))
    return told
