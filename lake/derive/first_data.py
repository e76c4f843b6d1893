"""Where a region's history begins, outliers left out."""

from datetime import date

from contracts.settings import LakeSettings
from lake.derive.business_days import overlapping
from lake.iceberg.partitions import rows_by_day
from lake.iceberg.tables import history

OUTLIERS = 100
"""One row in this many may lie before the first day: devices whose clock was reset send such rows."""


def first_business_day(settings: LakeSettings) -> date | None:
    """The first business day before which at most one row in OUTLIERS lies; None while history is empty."""
    rows = rows_by_day(history(settings))
    allowed, before = sum(rows.values()) // OUTLIERS, 0
    for utc_day in sorted(rows):
        before += rows[utc_day]
        if before > allowed:
            return overlapping(utc_day, settings.row.zone)[0]
    return None
