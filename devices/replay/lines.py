"""JSON Lines without a mapping: one record per line, sent byte for byte."""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, TypeVar

import msgspec
import numpy as np

from contracts.errors import BadInputFile
from devices.outgoing import NO_KEY, Outgoing
from devices.replay.json_framing import Framing, documents, framing_of, lines, split_line
from devices.replay.probe import FileForm, sample
from devices.replay.rows import Seen
from devices.replay.tables import BATCH_ROWS
from devices.replay.times import UNKNOWN, epoch_ms, is_rfc3339, parse_time

MAX_PLAUSIBLE_MS = 2**53
_Read = TypeVar("_Read")


class _Head(msgspec.Struct, gc=False):
    """The fields needed to route and pace a record; all others are skipped."""

    device_id: Any = None
    ts: Any = None


class LinesFile:
    """A file of JSON records, each sent as it stands. A feed.Feed.

    A record stands on a line of its own; several on a line, or without lines, and those of an array are taken apart.
    """

    rows: int | None = None
    dropped: tuple[str, ...] = ()

    def __init__(self, form: FileForm) -> None:
        self._form, self._path = form, form.path
        first, whole = sample(form)
        self._framing = framing_of(first, whole=whole)
        self.seen = Seen()
        self.seen.findings.decided = form.told() | {"framing": self._framing.value}
        self.not_json = 0
        """Number of lines that are not a JSON object; they are sent unchanged, for the consumer to reject."""

    def outgoing(self) -> Iterator[Outgoing]:
        """The records in their order, batch by batch.

        Raises BadInputFile where none of the first batch is a record with device_id and ts, or none has a time that
        the consumer reads, or the file is damaged.
        """
        decoder = msgspec.json.Decoder(_Head)
        first = True
        for batch in self.line_batches():
            records, heads = records_of(batch, lambda line: _head(decoder, line))
            if first:
                self._check(heads)
                first = False
            self.not_json += heads.count(None)
            yield self._routed(records, heads)

    def line_batches(self) -> Iterator[list[bytes]]:
        """Lines without their ends, or records where there are no lines, at most BATCH_ROWS at a time."""
        cut = lines if self._framing == Framing.LINES else documents
        count = 0
        found = cut(self._form.blocks())
        while True:
            try:
                batch = list(islice(found, BATCH_ROWS))
            except BadInputFile as error:
                raise BadInputFile(
                    f"{error}; it was read for {count:,} records. Replace it by a whole one and replay that: what was "
                    "sent already counts once"
                ) from None
            if not batch:
                return
            count += len(batch)
            yield batch

    def _check(self, heads: list[_Head | None]) -> None:
        for field in ("device_id", "ts"):
            if not any(head is not None and getattr(head, field) is not None for head in heads):
                raise BadInputFile(
                    f"{self._path}: none of the first {len(heads)} lines is a JSON object with {field!r}; "
                    f'name the right field in a mapping: [{field}] column = "..."'
                )
        ids = [head.device_id for head in heads if head is not None and head.device_id is not None]
        if not any(isinstance(device, str) for device in ids):
            raise BadInputFile(
                f"{self._path}: 'device_id' is no text in any of the first {len(heads)} lines; the first is "
                f"{ids[0]!r}. Lines are sent as they are: a mapping, even an empty one, has ids written as text"
            )
        given = [head.ts for head in heads if head is not None and head.ts is not None]
        if not any(_is_sent_as_time(ts) for ts in given):
            raise BadInputFile(
                f"{self._path}: none of the first {len(heads)} lines has a 'ts' that is RFC 3339 or whole epoch "
                f"milliseconds; the first is {given[0]!r}. Lines are sent as they are: a mapping has them written "
                'anew, such as [ts] unit = "s" or zone = "UTC"'
            )

    def _routed(self, lines: list[bytes], heads: list[_Head | None]) -> Outgoing:
        keys = [head.device_id if head is not None and isinstance(head.device_id, str) else NO_KEY for head in heads]
        ms = np.array([UNKNOWN if head is None else _ms(head.ts) for head in heads], np.int64)
        self.seen.times(ms)
        self.seen.findings.no_time += int((ms == UNKNOWN).sum())
        for key in set(keys) - {NO_KEY}:
            self.seen.devices.setdefault(key, None)
        return Outgoing(keys, lines, ms)


def records_of(batch: list[bytes], read: Callable[[bytes], _Read | None]) -> tuple[list[bytes], list[_Read | None]]:
    """The records of lines and what `read` makes of each; a line that it cannot read may hold several records."""
    found = [read(line) for line in batch]
    if None not in found:
        return batch, found
    records: list[bytes] = []
    made: list[_Read | None] = []
    for line, value in zip(batch, found, strict=True):
        parts = [line] if value is not None else split_line(line)
        records += parts
        made += [value] if parts == [line] else [read(part) for part in parts]
    return records, made


def _head(decoder: "msgspec.json.Decoder[_Head]", line: bytes) -> _Head | None:
    try:
        return decoder.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _is_sent_as_time(ts: Any) -> bool:
    return is_rfc3339(ts) if isinstance(ts, str) else isinstance(ts, int) and not isinstance(ts, bool)


def _ms(ts: Any) -> int:
    if isinstance(ts, bool):
        return UNKNOWN
    if isinstance(ts, int):
        return ts if abs(ts) < MAX_PLAUSIBLE_MS else UNKNOWN
    moment = parse_time(ts) if isinstance(ts, str) else None
    return UNKNOWN if moment is None or moment.tzinfo is None else epoch_ms(moment)
