"""Files as people have them, written by the tests that read them."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from devices.replay import Feed, Mapping, load_mapping, open_feed

NOW = 1_795_680_000_000


def mapping(folder: Path, text: str) -> Mapping:
    """A mapping of that TOML."""
    path = folder / "mapping.toml"
    path.write_text(text)
    return load_mapping(str(path))


def drained(path: Path, rules: Mapping | None = None) -> tuple[list[dict[str, Any]], Feed]:
    """All records, and the feed that gave them."""
    feed = open_feed(path, rules or Mapping())
    return [json.loads(payload) for part in feed.outgoing() for payload in part.payloads], feed


def records(path: Path, rules: Mapping | None = None) -> list[dict[str, Any]]:
    """All records."""
    return drained(path, rules)[0]


def dropped(feed: Feed) -> dict[tuple[str, str], int]:
    """What the report says was not sent: by column and reason."""
    return {(row["column"], row["reason"]): row["count"] for row in feed.seen.findings.report()["dropped_values"]}


def csv(folder: Path, text: str | bytes, name: str = "file.csv") -> Path:
    """A text file."""
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def parquet(folder: Path, columns: dict[str, Any]) -> Path:
    """A Parquet file of these columns."""
    path = folder / "file.parquet"
    pq.write_table(pa.table(columns), path)
    return path


def json_lines(folder: Path, *rows: dict[str, Any]) -> Path:
    """A JSON Lines file."""
    return csv(folder, "".join(json.dumps(row) + "\n" for row in rows), "file.jsonl")
