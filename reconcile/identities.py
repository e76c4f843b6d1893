"""Sets of record identities too large for memory: 128-bit digests, spilled to disk by their first bits."""

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from contracts.identity import IDENTITY

PART_ROWS = 4_000_000
"""Identities that one part should hold: about 100 MB with what sorting needs."""
DIGEST = np.dtype([("high", "<u8"), ("low", "<u8"), ("ts_ms", "<i8")])
_KEYS = ("fleetlake reconc", "second digest kk")
_ODD = np.uint64(0x9E3779B97F4A7C15)


class Identities:
    """Identities, with repetitions, of one store. Two that differ may share a digest with a chance of 2^-128 a pair."""

    def __init__(self, folder: Path, name: str, parts: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._paths = [folder / f"{name}-{part}" for part in range(parts)]
        self._files = [path.open("wb") for path in self._paths]
        self.rows = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for file in self._files:
            file.close()

    def add(self, rows: pa.Table | pa.RecordBatch) -> None:
        """Take in rows with the columns of contracts.identity.IDENTITY."""
        digests = digest(rows)
        self.rows += len(digests)
        if len(self._files) == 1:
            self._files[0].write(digests.tobytes())
            return
        part = digests["high"] % np.uint64(len(self._files))
        for at, file in enumerate(self._files):
            file.write(digests[part == at].tobytes())

    def parts(self) -> Iterator[np.ndarray]:
        """The digests, sorted, part by part; the same identity is in the same part of every store."""
        for file, path in zip(self._files, self._paths, strict=True):
            file.flush()
            part = np.fromfile(path, DIGEST)
            yield part[_order(part)]


def parts_for(rows: int) -> int:
    """Into how many parts so many identities should be split."""
    return 1 + rows // PART_ROWS


def digest(rows: pa.Table | pa.RecordBatch) -> np.ndarray:
    """DIGEST of each row's identity."""
    device, ts, record = (rows.column(name) for name in IDENTITY)
    ts_ms = pc.cast(pc.cast(ts, pa.timestamp("ms", "UTC"), safe=False), pa.int64()).to_numpy(zero_copy_only=False)
    made = np.empty(len(ts_ms), DIGEST)
    made["ts_ms"] = ts_ms
    for half, key in zip(("high", "low"), _KEYS, strict=True):
        made[half] = _mixed(_mixed(_texts(device, key), ts_ms.view("u8")), _texts(record, key))
    return made


def first_of_each(digests: np.ndarray) -> np.ndarray:
    """Which rows of a sorted part are the first of their identity."""
    first = np.ones(len(digests), bool)
    first[1:] = (digests["high"][1:] != digests["high"][:-1]) | (digests["low"][1:] != digests["low"][:-1])
    return first


def missing(wanted: np.ndarray, present: np.ndarray) -> np.ndarray:
    """Rows of `wanted` whose identity `present` lacks; both sorted."""
    both = np.concatenate([present, wanted])
    mine = np.concatenate([np.zeros(len(present), bool), np.ones(len(wanted), bool)])
    order = _order(both)
    both, mine = both[order], mine[order]
    group = np.cumsum(first_of_each(both)) - 1
    known = np.zeros(group[-1] + 1 if len(group) else 0, bool)
    known[group[~mine]] = True
    found: np.ndarray = both[mine & ~known[group]]
    return found


def days_of(digests: np.ndarray) -> list[str]:
    """The UTC event days of the rows, sorted."""
    days = np.unique(digests["ts_ms"].astype("datetime64[ms]").astype("datetime64[D]"))
    return [str(day) for day in days]


def _order(digests: np.ndarray) -> np.ndarray:
    """What sorts the digests: their first half alone, which is quicker, unless two differ in the second half only."""
    order = np.argsort(digests["high"], kind="stable")
    high, low = digests["high"][order], digests["low"][order]
    if np.any((high[1:] == high[:-1]) & (low[1:] != low[:-1])):
        order = np.lexsort((digests["low"], digests["high"]))
    return order


def _texts(column: pa.ChunkedArray | pa.Array, key: str) -> np.ndarray:
    """A 64-bit hash of each text."""
    values = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    encoded = values.dictionary_encode()
    hashes = pd.util.hash_array(encoded.dictionary.to_numpy(zero_copy_only=False), hash_key=key, categorize=False)
    hashed: np.ndarray = hashes[encoded.indices.to_numpy(zero_copy_only=False)]
    return hashed


def _mixed(state: np.ndarray, value: np.ndarray) -> np.ndarray:
    """One hash of two, in which their order counts (the finaliser of SplitMix64)."""
    with np.errstate(over="ignore"):
        mixed = (state * _ODD) ^ (value + _ODD)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return mixed ^ (mixed >> np.uint64(31))
