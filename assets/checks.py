"""Checks of a region's assets: completeness of hours, and stages that must agree with each other."""

from datetime import timedelta
from typing import Any

from dagster import (
    AssetCheckResult,
    AssetChecksDefinition,
    AssetCheckSeverity,
    MetadataValue,
    ResourceParam,
    asset_check,
)

from assets import keys
from assets.expectations import Expect, bounds_of, gx_check
from assets.redaction import without_values
from assets.work import Checking
from contracts.derived import DEVICE_DAY
from contracts.identity import IDENTITY
from contracts.record import LANDING
from contracts.regions import Region

HOUR = timedelta(hours=1)
SHOWN = 50
"""Objects that a check lists; it counts all of them."""


def region_checks(region: Region) -> list[AssetChecksDefinition]:
    """The cheap checks, which run with the assets that they are on."""
    return [
        hour_complete(region),
        landing_is_readable(region),
        landing_is_in_history(region),
        days_hold_history(region),
    ]


def quality_checks(region: Region) -> list[AssetChecksDefinition]:
    """The slow checks, which a schedule runs once a day in one process."""
    unique = Expect("ExpectCompoundColumnsToBeUnique", {"column_list": list(IDENTITY)}, counted=False)
    return [
        reconciled(region),
        gx_check(
            "history_keeps_its_contract",
            keys.history(region.name),
            lambda checking: checking.newest_history(),
            [unique, *bounds_of(LANDING)],
            "The newest days of history: identities are unique, required columns are filled, unflagged readings are "
            "within their bounds.",
        ),
        gx_check(
            "device_day_is_plausible",
            keys.mart(region.name, "device_day"),
            lambda checking: checking.newest_device_days(),
            _plausible_days(),
            "The newest days of the mart: times fit into a day, distances and counts are not negative.",
        ),
    ]


def hour_complete(region: Region) -> AssetChecksDefinition:
    """Whether the newest arrival hour in history can still grow."""

    @asset_check(
        asset=keys.history(region.name),
        description="The watermark has passed the end of the newest arrival hour: nothing more will arrive in it. "
        "A warning while the hour runs, which `process` may have merged in part; the rest follows once it is closed.",
    )
    def hour_is_complete(checking: ResourceParam[Checking]) -> AssetCheckResult:
        with without_values("check hour_complete"):
            newest, watermark = checking.last_landed_hour(), checking.watermark()
        complete = newest is None or (watermark is not None and watermark >= newest + HOUR)
        return AssetCheckResult(
            passed=complete,
            severity=AssetCheckSeverity.WARN,
            metadata={"newest_hour": str(newest), "watermark": str(watermark)},
        )

    return hour_is_complete


def landing_is_readable(region: Region) -> AssetChecksDefinition:
    """Whether merges leave out a landing object."""

    @asset_check(
        asset=keys.history(region.name),
        description="No landing object is set aside. Merges leave out an object that is missing, damaged or of another "
        "contract, and merge it by themselves once it is restored or the lake is upgraded: see its reason.",
    )
    def landing_is_readable(checking: ResourceParam[Checking]) -> AssetCheckResult:
        with without_values("check landing_is_readable"):
            aside = checking.objects_set_aside()
        lines = [f"| {one.key} | {one.rows:,} | {one.since:%Y-%m-%d %H:%M} | {one.reason} |" for one in aside[:SHOWN]]
        head = ["| object | rows | since (UTC) | reason |", "|---|---|---|---|"]
        return AssetCheckResult(
            passed=not aside,
            severity=AssetCheckSeverity.ERROR,
            metadata={
                "objects": len(aside),
                "rows_missing": sum(one.rows for one in aside),
                "set_aside": MetadataValue.md("\n".join(head + lines) if aside else "none"),
            },
        )

    return landing_is_readable


def landing_is_in_history(region: Region) -> AssetChecksDefinition:
    """Rows that landed against rows that merges read."""
    return _equal(
        region,
        "landing_is_in_history",
        keys.history(region.name),
        lambda checking: checking.merged_counts(),
        "Rows of the landing objects that are merged = rows that the merges inserted + duplicates that they dropped.",
    )


def days_hold_history(region: Region) -> AssetChecksDefinition:
    """Rows in history against records counted by the device days."""
    return _equal(
        region,
        "days_hold_history",
        keys.staged(region.name, "device_day"),
        lambda checking: checking.day_counts(),
        "Records that merges inserted = records that the device days count. They differ while days are due.",
    )


def reconciled(region: Region) -> AssetChecksDefinition:
    """Every stage counted from its own store."""

    @asset_check(
        name="reconciled",
        asset=keys.mart(region.name, "device_day"),
        description="Stream = landed + rejected + suppressed; landed = history + duplicates; history = device days = "
        "marts, each counted from its own store.",
    )
    def check(checking: ResourceParam[Checking]) -> AssetCheckResult:
        with without_values("check reconciled"):
            found = checking.reconcile()
        return AssetCheckResult(
            passed=found.ok,
            metadata={
                **{stage: count for stage, count in found.stages.items() if count is not None},
                "differences": len(found.differences),
            },
        )

    return check


def _equal(region: Region, name: str, asset: Any, counts: Any, description: str) -> AssetChecksDefinition:
    @asset_check(name=name, asset=asset, description=description)
    def check(checking: ResourceParam[Checking]) -> AssetCheckResult:
        with without_values(f"check {name}"):
            left, right = counts(checking)
        return AssetCheckResult(
            passed=left == right,
            severity=AssetCheckSeverity.WARN,
            metadata={"expected": left, "found": right, "difference": right - left},
        )

    return check


def _plausible_days() -> list[Expect]:
    longest_day_s = 25 * 3600
    times = [c.name for c in DEVICE_DAY if c.unit == "s"]
    amounts = [c.name for c in DEVICE_DAY if c.unit in ("km", "l")] + ["records", "trips"]
    return [
        Expect("ExpectCompoundColumnsToBeUnique", {"column_list": ["device_id", "day"]}, counted=False),
        *(
            Expect("ExpectColumnValuesToBeBetween", {"column": c, "min_value": 0, "max_value": longest_day_s})
            for c in times
        ),
        *(Expect("ExpectColumnValuesToBeBetween", {"column": c, "min_value": 0}) for c in amounts),
    ]
