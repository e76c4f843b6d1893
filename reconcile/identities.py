"""Sets of record identities too large for memory: 128-bit digests, spilled to disk in parts."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from contracts.identity import IDENTITY

PART_ROWS = 4_000_000
"""Identities that one part should hold: about 100 MB with what sorting needs."""
DIGEST = np.dtype([("high", "<u8"), ("low", "<u8"), ("ts_ms", "<i8")])
_KEYS = (np.uint64(0x243F6A8885A308D3), np.uint64(0x13198A2E03707344))
"""One a half of the digest (digits of pi)."""
DEVICE_KEY = np.uint64(0xA4093822299F31D0)
"""For hashes of devices alone."""
_ODD = np.uint64(0x9E3779B97F4A7C15)
_DAY_MS = 86_400_000
_WORD = 8
_ROWS_AT_ONCE = 1 << 15
"""Rows whose intermediate results stay in the processor's cache."""


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

    def add(self, digests: np.ndarray) -> None:
        """Take in the digests of some rows."""
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
    device = device.combine_chunks() if isinstance(device, pa.ChunkedArray) else device
    device = device if pa.types.is_dictionary(device.type) else device.dictionary_encode()
    for half, key in zip(("high", "low"), _KEYS, strict=True):
        made[half] = _mixed(_mixed(text_hashes(device, key), ts_ms.view("u8")), text_hashes(record, key))
    return made


def first_of_each(digests: np.ndarray) -> np.ndarray:
    """Which rows of a sorted part are the first of their identity."""
    first = np.ones(len(digests), bool)
    first[1:] = (digests["high"][1:] != digests["high"][:-1]) | (digests["low"][1:] != digests["low"][:-1])
    return first


def missing(wanted: np.ndarray, present: np.ndarray) -> np.ndarray:
    """Rows of `wanted` whose identity `present` lacks; both sorted."""
    if len(present) == 0 or same(wanted, present):
        return wanted[: 0 if len(present) else None]
    high = np.ascontiguousarray(present["high"])
    at = np.minimum(np.searchsorted(high, wanted["high"]), len(present) - 1)
    is_half = high[at] == wanted["high"]
    is_whole = is_half & (present["low"][at] == wanted["low"])
    # Identities that share the first half stand beside each other: few, if any, are looked for one by one.
    known = {(int(one["high"]), int(one["low"])) for one in present[np.isin(high, wanted["high"][is_half & ~is_whole])]}
    for row in np.flatnonzero(is_half & ~is_whole):
        is_whole[row] = (int(wanted["high"][row]), int(wanted["low"][row])) in known
    found: np.ndarray = wanted[~is_whole]
    return found


def same(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two sorted parts hold the same identities, row by row."""
    return all(np.array_equal(one[half], other[half]) for half in ("high", "low"))


def together(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Both sorted parts as one."""
    if not len(one) or not len(other):
        return one if len(one) else other
    both = np.concatenate([one, other])
    ordered: np.ndarray = both[_order(both)]
    return ordered


def days_of(digests: np.ndarray) -> list[date]:
    """The UTC event days of the rows, sorted."""
    days: list[date] = np.unique(digests["ts_ms"] // _DAY_MS).astype("datetime64[D]").tolist()
    return days


def _order(digests: np.ndarray) -> np.ndarray:
    """What sorts the digests: their first half alone, which is quicker, unless two differ in the second half only."""
    order = np.argsort(np.ascontiguousarray(digests["high"]))
    high, low = digests["high"][order], digests["low"][order]
    if np.any((high[1:] == high[:-1]) & (low[1:] != low[:-1])):
        order = np.lexsort((digests["low"], digests["high"]))
    return order


def text_hashes(column: pa.ChunkedArray | pa.Array, key: np.uint64) -> np.ndarray:
    """A 64-bit hash of each text, null among them; the same on each machine and in each version."""
    values = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if pa.types.is_dictionary(values.type):
        of_each: np.ndarray = text_hashes(values.dictionary, key)[values.indices.to_numpy(zero_copy_only=False)]
        return of_each
    texts = pc.cast(pc.fill_null(values, "\0null"), pa.large_binary())
    hashes = [_hashed(texts.slice(start, _ROWS_AT_ONCE), key) for start in range(0, len(texts), _ROWS_AT_ONCE)]
    return np.concatenate(hashes) if hashes else np.empty(0, "<u8")


def _hashed(texts: pa.LargeBinaryArray, key: np.uint64) -> np.ndarray:
    """The texts of one length at a time, eight bytes of all of them at a time."""
    _, offsets, data = texts.buffers()
    ends = np.frombuffer(offsets, "<i8")[texts.offset : texts.offset + len(texts) + 1]
    body = np.frombuffer(data, "u1") if data is not None else np.empty(0, "u1")
    sizes = np.diff(ends)
    hashes = np.empty(len(texts), "<u8")
    for size in np.unique(sizes):
        rows = np.flatnonzero(sizes == size)
        words = -(-int(size) // _WORD)
        padded = np.zeros((len(rows), words * _WORD), "u1")
        if len(rows) == len(texts):
            padded[:, :size] = body[ends[0] : ends[-1]].reshape(len(rows), size)
        else:
            padded[:, :size] = body[ends[rows][:, None] + np.arange(size)]
        state = np.full(len(rows), key ^ np.uint64(size), "<u8")
        for word in padded.view("<u8").T:
            state = _mixed(state, word)
        hashes[rows] = state
    return hashes


def _mixed(state: np.ndarray, value: np.ndarray) -> np.ndarray:
    """One hash of two, in which their order counts (the finaliser of SplitMix64)."""
    with np.errstate(over="ignore"):
        mixed = (state * _ODD) ^ (value + _ODD)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return mixed ^ (mixed >> np.uint64(31))
