"""The newest rows of history, for checks of data quality."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pyarrow as pa
from pyiceberg.expressions import And, GreaterThanOrEqual, LessThan, Reference

from contracts.record import LANDING
from contracts.settings import LakeSettings
from lake.derive.progress import newest_changed_day
from lake.iceberg.tables import history

if TYPE_CHECKING:
    import pandas as pd

SCALARS = tuple(column.name for column in LANDING if not pa.types.is_nested(column.type))
"""The columns of history that are not nested: pandas would hold those as Python objects."""


def newest_history(settings: LakeSettings, limit: int) -> "pd.DataFrame":
    """At most `limit` rows of the latest business day that changed and of the day before it, columns SCALARS."""
    day, table = newest_changed_day(settings), history(settings)
    if day is None:
        return table.scan(selected_fields=SCALARS, limit=0).to_pandas()
    first = datetime(day.year, day.month, day.day, tzinfo=settings.row.zone)
    newest = And(
        GreaterThanOrEqual(term=Reference("ts"), value=(first - timedelta(days=1)).isoformat()),
        LessThan(term=Reference("ts"), value=(first + timedelta(days=1)).isoformat()),
    )
    return table.scan(row_filter=newest, selected_fields=SCALARS, limit=limit).to_pandas()
