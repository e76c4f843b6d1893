"""One part of a batch through all steps: read, validate, flag, identify, suppress."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from contracts.record import EARLIEST_TS_MS, LANDING_SCHEMA, LATEST_AHEAD_MS, Flag, RejectReason
from ingest.decode.columns import further_columns, optional_column, readings_of, times_column
from ingest.decode.fieldlists import values_of
from ingest.decode.flags import flags_of
from ingest.decode.identifiers import good_device_ids, record_ids
from ingest.decode.reader import FastReader, Read
from ingest.decode.rejected import Refusal
from ingest.decode.suppression import Suppression
from ingest.decode.times import timestamps
from ingest.decode.users import UserRecords


@dataclass(slots=True)
class Part:
    """Some consecutive user records, decoded."""

    rows: pa.RecordBatch
    refusals: list[Refusal] = field(default_factory=list)
    suppressed: int = 0
    unknown: Mapping[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class _Placed:
    """Rows whose device and time are those of the contract, and the user records that they were read from."""

    rows: Sequence[Any]
    places: np.ndarray
    wrong: np.ndarray
    device_ids: pa.StringArray
    ts_ms: np.ndarray
    arrival_ms: np.ndarray


def decode_part(
    reader: FastReader,
    suppression: Suppression,
    shard_id: str,
    users: UserRecords,
    first_place: int,
    arrivals: np.ndarray,
    sequences: pa.StringArray,
) -> Part:
    """Decode the user records of one part; `first_place` is the place in the batch of its first.

    arrivals, sequences: arrival (ms) and sequence number of every Kinesis record that `users.parents` points to.
    """
    refusals: list[Refusal] = []
    read = _read(reader, users, refusals)
    placed, suppressed = _place(read, users, arrivals, refusals, suppression)
    columns = _columns(shard_id, users, placed, sequences)
    rows = pa.RecordBatch.from_arrays([columns[name] for name in LANDING_SCHEMA.names], schema=LANDING_SCHEMA)
    moved = [refusal._replace(place=refusal.place + first_place) for refusal in refusals]
    return Part(rows, moved, suppressed, read.unknown)


def _read(reader: FastReader, users: UserRecords, refusals: list[Refusal]) -> Read:
    if not users.bad_aggregates:
        read = reader.read(users.datas)
    else:
        bad = {place for place, _ in users.bad_aggregates}
        refusals += [Refusal(place, RejectReason.BAD_AGGREGATE, error) for place, error in users.bad_aggregates]
        whole = [place for place in range(len(users.datas)) if place not in bad]
        read = reader.read([users.datas[place] for place in whole])
        read.places = [whole[place] for place in read.places]
        read.refused = [(whole[place], why) for place, why in read.refused]
    refusals += [Refusal(place, why.reason, why.error) for place, why in read.refused]
    return read


def _place(
    read: Read, users: UserRecords, arrivals: np.ndarray, refusals: list[Refusal], suppression: Suppression
) -> tuple[_Placed, int]:
    """Check device and time of every row; those that fail become refusals. Also counts what is suppressed: an erased
    device's record leaves no bytes, wherever its time would have taken it.
    """
    places = np.asarray(read.places, np.int64)
    wrong = np.zeros(len(places), bool)
    wrong[read.wrong] = True
    device_ids = pa.array(values_of(read.rows, "device_id"), pa.string())
    ts_ms, is_time = times_column(values_of(read.rows, "ts"))
    placed = _Placed(read.rows, places, wrong, device_ids, ts_ms, arrivals[users.parents[places]])
    good_id = good_device_ids(device_ids)
    possible = (ts_ms >= EARLIEST_TS_MS) & (ts_ms <= placed.arrival_ms + LATEST_AHEAD_MS)
    kept = _allowed(suppression, device_ids)
    good = good_id & is_time & possible & kept
    if good.all():
        return placed, 0
    for index in np.flatnonzero(~good & kept).tolist():
        refusals.append(_refusal(int(places[index]), bool(good_id[index]), bool(is_time[index])))
    return _filtered(placed, good), len(kept) - int(kept.sum())


def _refusal(place: int, good_id: bool, is_time: bool) -> Refusal:
    if not good_id:
        return Refusal(place, RejectReason.BAD_DEVICE_ID, "device_id is not 1-128 of A-Za-z0-9._:-")
    if not is_time:
        return Refusal(place, RejectReason.BAD_TS, "ts is no RFC 3339 time with an offset")
    return Refusal(place, RejectReason.IMPOSSIBLE_TS, "ts is before 2000 or more than 5 minutes after its arrival")


def _allowed(suppression: Suppression, device_ids: pa.StringArray) -> np.ndarray:
    if suppression.version == 0:
        return np.ones(len(device_ids), bool)
    coded = device_ids.dictionary_encode()
    kept: np.ndarray = ~suppression.matches(coded.dictionary.to_pylist())[coded.indices.to_numpy()]
    return kept


def _filtered(placed: _Placed, keep: np.ndarray) -> _Placed:
    return _Placed(
        [placed.rows[index] for index in np.flatnonzero(keep).tolist()],
        placed.places[keep],
        placed.wrong[keep],
        placed.device_ids.filter(pa.array(keep)),
        placed.ts_ms[keep],
        placed.arrival_ms[keep],
    )


def _columns(shard_id: str, users: UserRecords, placed: _Placed, sequences: pa.StringArray) -> dict[str, pa.Array]:
    count, rows, places = len(placed.rows), placed.rows, placed.places
    readings, columns = readings_of(rows)
    flags = flags_of(readings, placed.ts_ms, placed.arrival_ms)
    flags[placed.wrong] |= Flag.WRONG_TYPE
    event_ids = optional_column(values_of(rows, "event_id"), pa.string())
    parents = users.parents[places]
    originals = users.datas if count == len(users.datas) else [users.datas[place] for place in places.tolist()]
    return (
        columns
        | further_columns(rows)
        | {
            "device_id": placed.device_ids,
            "ts": timestamps(placed.ts_ms),
            "event_id": event_ids,
            "record_id": record_ids(event_ids, originals),
            "arrival_ts": timestamps(placed.arrival_ms),
            "shard_id": pa.repeat(pa.scalar(shard_id, pa.string()), count),
            "sequence_number": _taken(sequences, parents),
            "sub_sequence": pa.array(users.subs[places]),
            "flags": pa.array(flags),
        }
    )


def _taken(sequences: pa.StringArray, parents: np.ndarray) -> pa.StringArray:
    """Sequence numbers of these Kinesis records; consecutive ones are a slice, which copies nothing."""
    if len(parents) and parents[-1] - parents[0] == len(parents) - 1 and (np.diff(parents) == 1).all():
        return sequences.slice(int(parents[0]), len(parents))
    return sequences.take(pa.array(parents))
