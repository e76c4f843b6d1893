"""What fleet_R holds of some devices, as parts of an answer: every table that names them.

Tables are found in the catalogue of Postgres, so that a new mart is in the answer.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

import psycopg
import pyarrow as pa
from psycopg import sql

from contracts.columns import Privacy
from contracts.erasable import Scope
from contracts.portable import NOT_GIVEN, Part, lies_within
from contracts.processing import Classes, classes
from contracts.settings import RegionSettings
from lake.database import transaction

_STORES = {"registry": "registry", "staging": "staging", "marts": "marts"}
"""Schema to store of contracts.processing."""
_TABLES = """
select c.table_schema, c.table_name, array_agg(c.column_name::text order by c.ordinal_position),
    coalesce(obj_description(format('%I.%I', c.table_schema, c.table_name)::regclass), '')
from information_schema.columns c join information_schema.tables k using (table_schema, table_name)
where c.table_schema in ('registry', 'staging', 'marts') and k.table_type = 'BASE TABLE' group by 1, 2 order by 1, 2
"""
_NAMING = {
    "device_id": "t.device_id = any(%(devices)s)",
    "devices": "t.devices && %(devices)s",
    "concentrator": "t.concentrator = any(%(devices)s)",
}
"""How a table names devices: by which column, and the condition that it names one of these."""
_TIMES = (
    ("first_ts", "last_ts"),
    ("start_ts", "end_ts"),
    ("first_seen_ts", "last_seen_ts"),
    ("refused_at", "refused_at"),
    ("done_at", "done_at"),
    ("starts_at", "ends_at"),
)
"""How a table says of which time a row is. What has none of these is a fact of the device."""
_OF_OTHERS = {"registry.device_subject", "marts.driver_day"}
"""Tables that name people: of them only the rows of the person who asks are given."""


def fleet_parts(settings: RegionSettings, scope: Scope) -> list[Part]:
    """A part of each table that names devices; nothing is read before its pages are asked for."""
    with transaction(settings) as connection:
        tables = connection.execute(_TABLES).fetchall()
    return [
        Part(
            f"{schema}_{table}",
            f"{schema}.{table}",
            said or f"Rows of {schema}.{table} that name the device.",
            _STORES[schema],
            partial(_rows, settings, scope, f"{schema}.{table}", columns),
        )
        for schema, table, columns, said in tables
        if any(column in columns for column in _NAMING) or (schema, table) == ("registry", "subject")
    ]


def _rows(settings: RegionSettings, scope: Scope, name: str, columns: Sequence[str]) -> Iterator[pa.Table]:
    given = [column for column in columns if _class_of(name, column) not in NOT_GIVEN]
    query = sql.SQL("select {} from {} t where {}").format(
        sql.SQL(", ").join(sql.Identifier(column) for column in given),
        sql.Identifier(*name.split(".")),
        sql.SQL(_condition(name, columns)),
    )
    values = {"devices": list(scope.devices), "subject": scope.subject}
    with transaction(settings) as connection:
        cursor = connection.execute(query, values)
        made = [dict(zip(given, row, strict=True)) for row in cursor.fetchall()]
        shape = _schema(cursor, given)
    times = next(((first, last) for first, last in _TIMES if first in given and last in given), None)
    kept = [_only_own(row, scope) for row in made if _is_own(row, times, scope)]
    yield pa.Table.from_pylist([_plain(row, shape) for row in kept], schema=shape)


def _condition(name: str, columns: Sequence[str]) -> str:
    if name == "registry.subject":
        return "t.subject_id = %(subject)s"
    if name in _OF_OTHERS:
        return "t.device_id = any(%(devices)s) and t.subject_id = %(subject)s"
    return "(" + " or ".join(text for column, text in _NAMING.items() if column in columns) + ")"


def _class_of(table: str, column: str) -> Privacy | None:
    known: Mapping[str, Classes] = classes()
    return known.get(table, {}).get(column)


def _is_own(row: Mapping[str, Any], times: tuple[str, str] | None, scope: Scope) -> bool:
    device = row.get("device_id")
    if times is None or device not in scope.devices:
        return True
    return lies_within(scope.portions, str(device), _moment(row[times[0]]), _moment(row[times[1]]))


def _only_own(row: dict[str, Any], scope: Scope) -> dict[str, Any]:
    """Of a list of devices, as a guest link has, those that are asked about."""
    if isinstance(row.get("devices"), list):
        row["devices"] = [device for device in row["devices"] if device in scope.devices]
    return row


def _moment(value: Any) -> datetime | None:
    return value if isinstance(value, datetime) else None


_ARROW = {
    "bool": pa.bool_(),
    "int2": pa.int64(),
    "int4": pa.int64(),
    "int8": pa.int64(),
    "float4": pa.float64(),
    "float8": pa.float64(),
    "numeric": pa.float64(),
    "date": pa.date32(),
    "timestamptz": pa.timestamp("us", "UTC"),
}
"""Types of Postgres as Arrow has them; any other is given as text."""


def _schema(cursor: "psycopg.Cursor[Any]", columns: Sequence[str]) -> pa.Schema:
    types = psycopg.adapters.types
    kinds = [
        types[column.type_code].name if column.type_code in _codes() else "" for column in cursor.description or ()
    ]
    return pa.schema([(name, _ARROW.get(kind, pa.string())) for name, kind in zip(columns, kinds, strict=True)])


def _codes() -> set[int]:
    return {info.oid for info in psycopg.adapters.types}


def _plain(row: Mapping[str, Any], shape: pa.Schema) -> dict[str, Any]:
    return {
        field.name: str(row[field.name])
        if field.type == pa.string() and row[field.name] is not None
        else row[field.name]
        for field in shape
    }
