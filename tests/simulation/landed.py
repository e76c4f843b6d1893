"""Landing objects read back, each once."""

import pyarrow as pa
import pyarrow.parquet as pq


class Landed:
    """Tables of objects by their bytes: the rebuild of live state and the check at the end read the same objects."""

    def __init__(self) -> None:
        self._tables: dict[bytes, pa.Table] = {}

    def table(self, data: bytes | pa.Buffer) -> pa.Table:
        """The rows of an object."""
        whole = bytes(data)
        if whole not in self._tables:
            self._tables[whole] = pq.ParquetFile(pa.BufferReader(whole)).read(use_threads=False)
        return self._tables[whole]
