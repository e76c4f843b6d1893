"""Device ids and record ids, column by column."""

import re
from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from contracts.identity import EXPORTED, OF_EVENT, record_id
from contracts.record import DEVICE_ID_PATTERN

MAX_DEVICE_ID = 128
_PATTERN = re.compile(DEVICE_ID_PATTERN.removesuffix("$") + r"\Z", re.ASCII)
ALLOWED_BYTES = np.array(
    [re.match(DEVICE_ID_PATTERN, chr(byte)) is not None and byte != ord("\n") for byte in range(256)]
)
_DIGEST_BYTES = 16
_FRESH = blake2b(digest_size=_DIGEST_BYTES)
"""Copying a fresh hash costs a quarter less than making one."""


def good_device_ids(ids: pa.StringArray) -> np.ndarray:
    """Which of these are valid device ids."""
    lengths = np.diff(_offsets(ids))
    if ALLOWED_BYTES[_bytes(ids)].all():
        good: np.ndarray = (lengths >= 1) & (lengths <= MAX_DEVICE_ID)
        return good
    return np.array([_PATTERN.match(text) is not None for text in ids.to_pylist()], bool)


def record_ids(event_ids: pa.StringArray, originals: Sequence[bytes]) -> pa.StringArray:
    """record_id of every row, as contracts.identity.record_id gives it. No event id is empty."""
    if event_ids.null_count == len(event_ids):
        return _hashes(originals)
    if event_ids.null_count == 0 and not pc.any(pc.starts_with(event_ids, EXPORTED)).as_py():
        return pc.binary_join_element_wise(pa.scalar(OF_EVENT), event_ids, "")
    return pa.array(list(map(record_id, event_ids.to_pylist(), originals)), pa.string())


def _hashes(originals: Sequence[bytes]) -> pa.StringArray:
    """`b:` and the hash of each, written into one buffer, as all have the same width."""
    count, width = len(originals), 2 + 2 * _DIGEST_BYTES
    digests = []
    for original in originals:
        hashed = _FRESH.copy()
        hashed.update(original)
        digests.append(hashed.digest())
    digits = b"".join(digests).hex().encode()
    text = np.empty((count, width), np.uint8)
    text[:, 0], text[:, 1] = ord("b"), ord(":")
    text[:, 2:] = np.frombuffer(digits, np.uint8).reshape(count, width - 2)
    offsets = np.arange(count + 1, dtype=np.int32) * width
    return pa.StringArray.from_buffers(count, pa.py_buffer(offsets), pa.py_buffer(text))


def _offsets(texts: pa.StringArray) -> np.ndarray:
    return np.frombuffer(texts.buffers()[1], np.int32)[texts.offset : texts.offset + len(texts) + 1]


def _bytes(texts: pa.StringArray) -> np.ndarray:
    offsets, data = _offsets(texts), texts.buffers()[2]
    return np.frombuffer(data, np.uint8)[offsets[0] : offsets[-1]] if data is not None else np.zeros(0, np.uint8)
