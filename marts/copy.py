"""Arrow tables into Postgres by COPY, under advisory locks."""

import io

import psycopg
import pyarrow as pa
from psycopg import sql
from pyarrow import csv

_AS_CSV = csv.WriteOptions(include_header=False, quoting_style="all_valid")
"""Values quoted, nulls not: an empty text stays apart from a missing one."""


def copy_rows(connection: psycopg.Connection, into: sql.Identifier, rows: pa.Table) -> None:
    """Append `rows` to a table whose columns have their names. Arrow writes the text, so no value becomes Python."""
    columns = sql.SQL(", ").join(map(sql.Identifier, rows.schema.names))
    statement = sql.SQL("copy {} ({}) from stdin with (format csv)").format(into, columns)
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for batch in rows.to_batches():
            text = io.BytesIO()
            csv.write_csv(batch, text, _AS_CSV)
            copy.write(text.getbuffer())


def lock(connection: psycopg.Connection, name: str) -> None:
    """Wait for the advisory lock `name`, held until the transaction ends."""
    connection.execute("select pg_advisory_xact_lock(hashtextextended(%s, 0))", [name])
