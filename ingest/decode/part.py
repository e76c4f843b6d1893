"""Decodes one part of a batch: read, validate, flag, identify, suppress."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from contracts.record import EARLIEST_TS_MS, LANDING_SCHEMA, LATEST_AHEAD_MS, Flag, RejectReason
from ingest.decode.away import AwayDevices
from ingest.decode.flags import flags_of
from ingest.decode.identifiers import record_ids
from ingest.decode.reader import Read, read_structs
from ingest.decode.rejected import Refusal
from ingest.decode.sent import Sent, sent_in_structs
from ingest.decode.times import timestamps
from ingest.decode.users import UserRecords
from ingest.records import Payloads
from ingest.suppression import Suppression
from ingest.suppression import kept as accepted

if TYPE_CHECKING:
    from ingest.decode.plain import PlainReader


@dataclass(slots=True)
class Part:
    """Some consecutive user records, decoded."""

    rows: pa.RecordBatch
    refusals: list[Refusal] = field(default_factory=list)
    suppressed: int = 0
    unknown: Mapping[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class _Piece:
    """The rows of one reader, validated."""

    rows: pa.RecordBatch
    places: np.ndarray
    suppressed: int


def decode_part(
    reader: "PlainReader | None",
    suppression: Suppression,
    shard_id: str,
    users: UserRecords,
    first_place: int,
    arrivals: np.ndarray,
    sequences: pa.StringArray,
    away: AwayDevices | None = None,
) -> Part:
    """Decode the user records of one part; `first_place` is the place in the batch of its first.

    reader: None where msgspec is to read every record.
    away: devices at home in another region, whose records are refused.
    arrivals, sequences: arrival (ms) and sequence number of every Kinesis record that `users.parents` points to.
    """
    refusals: list[Refusal] = []
    sents, unknown = _read(reader, users, refusals)
    pieces = [_piece(shard_id, users, sent, arrivals, sequences, suppression, away, refusals) for sent in sents]
    moved = [refusal._replace(place=refusal.place + first_place) for refusal in refusals]
    return Part(_in_order(pieces), moved, sum(piece.suppressed for piece in pieces), unknown)


def _read(reader: "PlainReader | None", users: UserRecords, refusals: list[Refusal]) -> tuple[list[Sent], Counter[str]]:
    """The plain records, then the others."""
    plain = reader.read(Payloads.of(users.datas)) if reader else None
    if plain is None:
        read = _read_all(users, range(len(users.datas)), refusals)
        return [sent_in_structs(read)], read.unknown
    from ingest.decode.plain import unknown_names  # loads numba, as the reader has
    from ingest.decode.sent_plainly import sent_plainly

    unknown = unknown_names(plain)
    left = np.flatnonzero(plain.plain == 0).tolist()
    if not left:
        return [sent_plainly(plain)], unknown
    read = _read_all(users, left, refusals)
    sents = [sent_plainly(plain)] if len(left) < len(users.datas) else []
    return [*sents, sent_in_structs(read)], unknown + read.unknown


def _read_all(users: UserRecords, places: Sequence[int], refusals: list[Refusal]) -> Read:
    """Read these user records into structs; those that cannot be placed become refusals."""
    bad = {place for place, _ in users.bad_aggregates}
    refusals += [Refusal(place, RejectReason.BAD_AGGREGATE, error) for place, error in users.bad_aggregates]
    whole = [place for place in places if place not in bad] if bad else places
    all_of_them = len(whole) == len(users.datas)
    read = read_structs(users.datas if all_of_them else [users.datas[place] for place in whole])
    read.places = [whole[place] for place in read.places]
    refusals += [Refusal(whole[place], reason, error) for place, reason, error in read.refused]
    return read


def _piece(
    shard_id: str,
    users: UserRecords,
    sent: Sent,
    arrivals: np.ndarray,
    sequences: pa.StringArray,
    suppression: Suppression,
    away: AwayDevices | None,
    refusals: list[Refusal],
) -> _Piece:
    """Check device and time of every row, and count suppressed ones. A row that fails becomes a refusal, unless its
    device is suppressed: an erased device's record leaves no bytes, whatever its time.
    """
    places, arrival_ms = sent.places, arrivals[users.parents[sent.places]]
    possible = (sent.ts_ms >= EARLIEST_TS_MS) & (sent.ts_ms <= arrival_ms + LATEST_AHEAD_MS)
    kept = sent.is_here & accepted(suppression, sent.columns["device_id"], sent.ts_ms)
    at_home = away.at_home(sent.columns["device_id"]) if away else np.ones(len(places), bool)
    good = sent.good_id & sent.is_time & possible & kept & at_home
    columns = _columns(shard_id, users, sent, arrival_ms, sequences)
    rows = pa.RecordBatch.from_arrays([columns[name] for name in LANDING_SCHEMA.names], schema=LANDING_SCHEMA)
    if good.all():
        return _Piece(rows, places, 0)
    for index in np.flatnonzero(~good & kept).tolist():
        if sent.good_id[index] and not at_home[index]:
            refusals.append(Refusal(int(places[index]), RejectReason.WRONG_REGION, "the device is at home elsewhere"))
            continue
        refusals.append(_refusal(int(places[index]), bool(sent.good_id[index]), bool(sent.is_time[index])))
    return _Piece(rows.filter(pa.array(good)), places[good], int((sent.is_here & ~kept).sum()))


def _in_order(pieces: Sequence[_Piece]) -> pa.RecordBatch:
    """The rows of all pieces in the order of their user records."""
    first, *others = [piece for piece in pieces if len(piece.places)] or pieces
    if not others:
        return first.rows
    places = np.concatenate([piece.places for piece in pieces])
    return pa.concat_batches([piece.rows for piece in pieces]).take(pa.array(np.argsort(places)))


def _refusal(place: int, good_id: bool, is_time: bool) -> Refusal:
    if not good_id:
        return Refusal(place, RejectReason.BAD_DEVICE_ID, "device_id is not 1-128 of A-Za-z0-9._:-")
    if not is_time:
        return Refusal(place, RejectReason.BAD_TS, "ts is not an RFC 3339 time with an offset")
    return Refusal(place, RejectReason.IMPOSSIBLE_TS, "ts is before 2000 or more than 5 minutes after its arrival")


def _columns(
    shard_id: str, users: UserRecords, sent: Sent, arrival_ms: np.ndarray, sequences: pa.StringArray
) -> dict[str, pa.Array]:
    places = sent.places
    flags = flags_of(sent.readings, sent.ts_ms, arrival_ms)
    flags[sent.wrong] |= Flag.WRONG_TYPE
    parents = users.parents[places]
    originals = users.datas if len(places) == len(users.datas) else [users.datas[place] for place in places.tolist()]
    return sent.columns | {
        "ts": timestamps(sent.ts_ms),
        "record_id": record_ids(sent.columns["event_id"], originals),
        "arrival_ts": timestamps(arrival_ms),
        "shard_id": pa.repeat(pa.scalar(shard_id, pa.string()), len(places)),
        "sequence_number": _taken(sequences, parents),
        "sub_sequence": pa.array(users.subs[places]),
        "flags": pa.array(flags),
    }


def _taken(sequences: pa.StringArray, parents: np.ndarray) -> pa.StringArray:
    """Sequence numbers of these Kinesis records; a slice, which copies nothing, where they are consecutive."""
    if len(parents) and parents[-1] - parents[0] == len(parents) - 1 and (np.diff(parents) == 1).all():
        return sequences.slice(int(parents[0]), len(parents))
    return sequences.take(pa.array(parents))
