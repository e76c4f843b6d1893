"""How landing objects are written and read back in a history: as Parquet, or in a tenth of the time as Arrow."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import pyarrow as pa
import pyarrow.parquet as pq

from ingest.landing import flush

_ARROW = b"ARROW"


class Landed:
    """Tables of objects by their bytes: the rebuild of live state and the check at the end read the same objects."""

    def __init__(self) -> None:
        self._tables: dict[bytes, pa.Table] = {}

    def table(self, data: bytes | pa.Buffer) -> pa.Table:
        """The rows of an object."""
        whole = bytes(data)
        if whole not in self._tables:
            self._tables[whole] = _read(whole)
        return self._tables[whole]


@contextmanager
def encoding(*, parquet: bool) -> Iterator[None]:
    """While this lasts, flushes are encoded as Parquet, as ever, or as Arrow: what is promised is the same for both."""
    if parquet:
        yield
        return
    with patch.object(flush, "landed_bytes", _arrow), patch.object(flush, "rejected_bytes", _arrow):
        yield


def _arrow(rows: pa.Table, about: Any) -> bytes:
    out = pa.BufferOutputStream()
    with pa.ipc.new_stream(out, rows.schema) as writer:
        writer.write_table(rows)
    return _ARROW + repr(sorted(about.items())).encode() + b"\n" + out.getvalue().to_pybytes()


def _read(whole: bytes) -> pa.Table:
    if whole.startswith(_ARROW):
        return pa.ipc.open_stream(pa.py_buffer(whole)[whole.index(b"\n") + 1 :]).read_all()
    return pq.ParquetFile(pa.BufferReader(whole)).read(use_threads=False)
