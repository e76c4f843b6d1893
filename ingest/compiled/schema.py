"""What the compiled reader works on: the contract's fields as a lookup table, and the output columns."""

from typing import NamedTuple

import numpy as np

from ingest.compiled.texts import TextBuffers

DEVICE_ID, TS, EVENT_ID, SIGNALS, ATTRIBUTES, ENGINE_ON, FIRST_READING = range(7)
"""The kind of a field. Of those that there are several of, the n-th reading is FIRST_READING + n, the n-th text
FIRST_TEXT - n, and the n-th list of texts FIRST_LIST - n.
"""
FIRST_TEXT, FIRST_LIST = -1, -1_001
HASH_SIZE = 256
MOST_NAMES = 64
"""A plain record has at most this many entries in a map, and this many unknown names."""


class Fields(NamedTuple):
    """The contract's fields in a hash table of their names; one that finds its slot taken is in the next."""

    factors: np.ndarray
    """Hash factors of a name's first byte, last byte and length (int64)."""
    by_hash: np.ndarray
    """Field at each slot, or -1 (int64)."""
    kinds: np.ndarray
    buf: np.ndarray
    """All names, concatenated (uint8)."""
    ends: np.ndarray
    """Where each name ends in `buf`; it starts where the one before it ends (int64)."""
    powers: np.ndarray
    """10**0 to 10**22 (float64), all exact."""
    allowed: np.ndarray
    """Whether a device id may contain each byte (bool)."""
    any: np.ndarray
    """The same table with every byte allowed."""
    longest_device_id: int
    longest_event_id: int
    longest_record: int
    required: int
    """Bit mask of the required fields."""


class Columns(NamedTuple):
    """Output columns, allocated by the caller. Row i is record i; it is valid only where plain[i] is 1."""

    plain: np.ndarray
    ts_ms: np.ndarray
    readings: np.ndarray
    """One row per reading, NaN for null (float64)."""
    engine_on: np.ndarray
    """0, 1, or 2 for null (uint8)."""
    device_ids: TextBuffers
    event_ids: TextBuffers
    present: np.ndarray
    """One row each for event_id, signals, attributes: 0 for null (uint8)."""
    entries: np.ndarray
    """Arrow offsets of signals and attributes, one row each (int32)."""
    list_bufs: np.ndarray
    """One TextBuffers.buf each for the entries of the lists of texts, one row each (uint8)."""
    list_ends: np.ndarray
    """Their TextBuffers.ends (int32)."""
    list_offsets: np.ndarray
    """Their Arrow offsets, one row each (int32)."""
    list_present: np.ndarray
    """0 where they are null (uint8)."""
    text_bufs: np.ndarray
    """One TextBuffers.buf each for the fields of any text, one row each (uint8)."""
    text_ends: np.ndarray
    """Their TextBuffers.ends (int32)."""
    text_present: np.ndarray
    """0 where they are null (uint8)."""
    signal_names: TextBuffers
    signal_values: np.ndarray
    attribute_names: TextBuffers
    attribute_values: TextBuffers
    unknown: TextBuffers
    counts: np.ndarray
    """Signals, attributes and unknown names written so far (int64)."""
    list_counts: np.ndarray
    """Entries of each list written so far (int64)."""
