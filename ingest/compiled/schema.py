"""What a record is read by, the contract's fields, and what it is read into, columns."""

from typing import NamedTuple

import numpy as np

from ingest.compiled.tokens import Texts

DEVICE_ID, TS, EVENT_ID, FAULT_CODES, SIGNALS, ATTRIBUTES, ENGINE_ON, FIRST_READING = range(8)
"""What a field is; readings count on from the last."""
HASH_SIZE = 256
MOST_NAMES = 64
"""Entries of a map, and unknown names, that a plain record may have."""


class Fields(NamedTuple):
    """The contract's fields, found by a hash of their names that has no collisions."""

    factors: np.ndarray
    """Of a name's first letter, its last, and its length (int64)."""
    by_hash: np.ndarray
    """Field at each hash, or -1 (int64)."""
    kinds: np.ndarray
    letters: np.ndarray
    """All names, one after the other (uint8)."""
    ends: np.ndarray
    """Where each ends there; it starts where the one before ends, the first at 0 (int64)."""
    powers: np.ndarray
    """10**0 to 10**22 (float64), all exact."""
    allowed: np.ndarray
    """Which bytes a device id may have (bool)."""
    any: np.ndarray
    """The same where every byte is allowed."""
    longest_device_id: int
    longest_event_id: int
    longest_record: int
    required: int
    """Bits of the fields that a record must have."""


class Columns(NamedTuple):
    """Where what is read goes; row i is record i, and is of use where plain[i] is 1."""

    plain: np.ndarray
    ts_ms: np.ndarray
    readings: np.ndarray
    """A row a reading; NaN before (float64)."""
    engine_on: np.ndarray
    """0, 1, or 2 for null (uint8)."""
    device_ids: Texts
    event_ids: Texts
    present: np.ndarray
    """A row each for event_id, fault_codes, signals, attributes: 1 where there is one (uint8)."""
    entries: np.ndarray
    """A row each for the last three: entries so far after record i at i + 1 (int32)."""
    fault_codes: Texts
    signal_names: Texts
    signal_values: np.ndarray
    attribute_names: Texts
    attribute_values: Texts
    unknown: Texts
    counts: np.ndarray
    """How many there are so far of fault codes, signals, attributes, unknown names (int64)."""
