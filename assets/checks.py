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
from assets.usual_days import days_are_usual
from assets.work import Checking
from contracts.derived import DEVICE_DAY
from contracts.identity import IDENTITY
from contracts.record import LANDING, READINGS
from contracts.regions import Region

HOUR = timedelta(hours=1)
SHOWN = 50
"""Objects that a check lists; it counts all of them."""
_LONGEST_DAY_S = 25 * 3600
_FASTEST_KMH = next(column.high for column in READINGS if column.name == "speed_kmh")


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
            lambda checking: checking.history_changed_last(),
            [unique, *bounds_of(LANDING)],
            "The days of history that changed last: identities are unique, required columns are filled, unflagged "
            "readings are within their bounds.",
        ),
        gx_check(
            "device_day_is_plausible",
            keys.mart(region.name, "device_day"),
            lambda checking: checking.mart_built_last("device_day"),
            plausible_days(),
            "The days of the mart that were built last: times fit into a day, no speed is above what a record may "
            "have, distances and counts are not negative.",
        ),
        gx_check(
            "trip_is_plausible",
            keys.mart(region.name, "trip"),
            lambda checking: checking.mart_built_last("trip"),
            plausible_trips(),
            "The trips of the days that were built last: positions are on the globe, no speed is above what a record "
            "may have, no trip lasts longer than the days that it may touch.",
        ),
        days_are_usual(region),
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


def plausible_days() -> list[Expect]:
    """What holds of each row of the mart device_day."""
    times = [c.name for c in DEVICE_DAY if c.unit == "s"]
    amounts = [c.name for c in DEVICE_DAY if c.unit in ("km", "l")] + ["records", "trips"]
    return [
        Expect("ExpectCompoundColumnsToBeUnique", {"column_list": ["device_id", "day"]}, counted=False),
        _filled("device_id"),
        _within("max_speed_kmh", 0, _FASTEST_KMH),
        *(_within(column, 0, _LONGEST_DAY_S) for column in times),
        *(_within(column, 0, None) for column in amounts),
    ]


def plausible_trips() -> list[Expect]:
    """What holds of each row of the mart trip."""
    return [
        Expect("ExpectColumnValuesToBeUnique", {"column": "trip_id"}, counted=False),
        _filled("device_id"),
        *(_within(f"{end}_lat_deg", -90, 90) for end in ("start", "end")),
        *(_within(f"{end}_lon_deg", -180, 180) for end in ("start", "end")),
        _within("max_speed_kmh", 0, _FASTEST_KMH),
        *(_within(column, 0, 2 * _LONGEST_DAY_S) for column in ("moving_s", "idle_s")),
        *(_within(column, 0, None) for column in ("distance_km", "records")),
    ]


def _filled(column: str) -> Expect:
    return Expect("ExpectColumnValuesToNotBeNull", {"column": column}, counted=False)


def _within(column: str, low: float, high: float | None) -> Expect:
    return Expect("ExpectColumnValuesToBeBetween", {"column": column, "min_value": low, "max_value": high})
