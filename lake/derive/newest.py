"""The rows of history that changed last, for checks of data quality."""

from datetime import timedelta
from typing import TYPE_CHECKING

import pyarrow as pa
from pyiceberg.expressions import And, GreaterThanOrEqual, LessThan, Reference

from contracts.record import LANDING_SCHEMA
from contracts.settings import LakeSettings
from lake.derive.business_days import midnight
from lake.derive.progress import days_changed_last
from lake.iceberg.tables import history

if TYPE_CHECKING:
    import pandas as pd

_SCHEMA = pa.schema([field for field in LANDING_SCHEMA if not pa.types.is_nested(field.type)])
"""The columns of history that are not nested: pandas would hold those as Python objects."""
_DAYS = 14
"""A change of one day marks its neighbours too, which may have no row: so many days are looked through for rows."""


def rows_changed_last(settings: LakeSettings, limit: int) -> "pd.DataFrame":
    """At most `limit` rows of the business days that changed last, in the columns of history that are not nested."""
    table, found = history(settings), []
    wanted = limit
    for day in days_changed_last(settings, _DAYS):
        rows = table.scan(
            row_filter=And(
                GreaterThanOrEqual(term=Reference("ts"), value=midnight(day, settings.row.zone).isoformat()),
                LessThan(term=Reference("ts"), value=midnight(day + timedelta(days=1), settings.row.zone).isoformat()),
            ),
            selected_fields=tuple(_SCHEMA.names),
            limit=wanted,
        ).to_arrow()
        found.append(rows.select(_SCHEMA.names).cast(_SCHEMA))
        wanted -= rows.num_rows
        if wanted <= 0:
            break
    frame: pd.DataFrame = pa.concat_tables([_SCHEMA.empty_table(), *found]).to_pandas()
    return frame
