"""Rows to Parquet bytes: contract schema, zstd, row groups with statistics that let a reader skip."""

from collections.abc import Mapping

import pyarrow as pa
import pyarrow.parquet as pq

from contracts.record import LANDING_SCHEMA, LISTS, REJECTED_SCHEMA

ROW_GROUP_ROWS = 32_768
ZSTD_LEVEL = 1
_DICTIONARIES = [
    "device_id",
    "driver_id",
    "shard_id",
    *(f"{column.name}.list.element" for column in LISTS),
    "signals.key_value.key",
    "attributes.key_value.key",
    "attributes.key_value.value",
    "speed_kmh",
    "heading_deg",
    "engine_rpm",
    "engine_load_pct",
    "coolant_c",
    "fuel_pct",
]
"""Columns whose values repeat; for others a dictionary costs time and enlarges the object."""
_ENCODINGS = {
    "ts": "DELTA_BINARY_PACKED",
    "arrival_ts": "DELTA_BINARY_PACKED",
    "record_id": "DELTA_LENGTH_BYTE_ARRAY",
}
"""Encodings that compress better. Spark's vectorized reader supports these, but (4.0) not
BYTE_STREAM_SPLIT, which would help as much again for degrees."""
_STATISTICS = ["device_id", "ts", "arrival_ts", "flags"]


def landed_bytes(rows: pa.Table, about: Mapping[str, str]) -> bytes:
    """Rows of LANDING_SCHEMA, already sorted, as one Parquet object; `about` goes into its metadata.

    Rows sorted by device make each row group's device_id statistics a narrow range.
    """
    return _encoded(rows, LANDING_SCHEMA.with_metadata(dict(about)), _DICTIONARIES, _STATISTICS, _ENCODINGS)


def rejected_bytes(rows: pa.Table, about: Mapping[str, str]) -> bytes:
    """Rows of REJECTED_SCHEMA as one Parquet object."""
    schema = REJECTED_SCHEMA.with_metadata(dict(about))
    return _encoded(rows, schema, ["reason", "error", "shard_id"], ["arrival_ts"], {})


def _encoded(
    rows: pa.Table, schema: pa.Schema, dictionaries: list[str], statistics: list[str], encodings: Mapping[str, str]
) -> bytes:
    out = pa.BufferOutputStream()
    with pq.ParquetWriter(
        out,
        schema,
        compression="zstd",
        compression_level=ZSTD_LEVEL,
        use_dictionary=dictionaries,
        write_statistics=statistics,
        column_encoding=dict(encodings) or None,
    ) as writer:
        writer.write_table(rows.replace_schema_metadata(schema.metadata), row_group_size=ROW_GROUP_ROWS)
    encoded: bytes = out.getvalue().to_pybytes()
    return encoded
