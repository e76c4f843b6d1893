"""What Dagster's catalogue says about a table: its columns, taken from contracts, with units and privacy class."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from dagster import (
    AssetKey,
    TableColumn,
    TableColumnConstraints,
    TableColumnDep,
    TableColumnLineage,
    TableSchema,
)

from contracts.columns import Column

if TYPE_CHECKING:
    from lake.jobs import Report


def table_schema(columns: Iterable[Column]) -> TableSchema:
    """The columns of a table, each with its type, meaning, unit and privacy class."""
    return TableSchema(columns=[_column(column) for column in columns])


def table_metadata(columns: Iterable[Column], table_name: str) -> dict[str, Any]:
    """Metadata of an asset that is a table of these columns."""
    return {"dagster/column_schema": table_schema(columns), "dagster/table_name": table_name}


def same_columns(columns: Iterable[Column], upstream: AssetKey) -> TableColumnLineage:
    """The lineage of a table whose columns are those of `upstream`, name by name."""
    return TableColumnLineage(
        {column.name: [TableColumnDep(asset_key=upstream, column_name=column.name)] for column in columns}
    )


def report_metadata(report: "Report", table: str) -> dict[str, Any]:
    """What a Spark job said, for the asset that is `table`: its counts, its time, and the table's rows."""
    written = report.tables.get(table)
    rows = {"dagster/row_count": written.rows} if written else {}
    return {"job": type(report.job).__name__, "seconds": report.seconds, **report.counts, **rows}


def _column(column: Column) -> TableColumn:
    unit = f" [{column.unit}]" if column.unit else ""
    return TableColumn(
        name=column.name,
        type=str(column.type),
        description=f"{column.doc}{unit}",
        constraints=TableColumnConstraints(nullable=not column.required),
        tags={"privacy": column.privacy.value} | ({"unit": _as_tag(column.unit)} if column.unit else {}),
    )


def _as_tag(unit: str) -> str:
    return {"%": "percent"}.get(unit, unit.replace("/", "_per_"))
