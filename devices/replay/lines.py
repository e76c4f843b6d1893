"""JSON Lines without a mapping: one record per line, sent byte for byte."""

import gzip
import zlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import IO, Any

import msgspec
import numpy as np

from contracts.errors import BadInputFile
from devices.outgoing import NO_KEY, Outgoing
from devices.replay.rows import Seen
from devices.replay.tables import BATCH_ROWS
from devices.replay.times import UNKNOWN, epoch_ms, is_rfc3339, parse_time

MAX_PLAUSIBLE_MS = 2**53


class _Head(msgspec.Struct, gc=False):
    """The fields needed to route and pace a record; all others are skipped."""

    device_id: Any = None
    ts: Any = None


class LinesFile:
    """A JSON Lines file, plain or gzip, each line a record as it stands. Blank lines are skipped. A feed.Feed."""

    rows: int | None = None
    dropped: tuple[str, ...] = ()

    def __init__(self, path: Path) -> None:
        self._path = path
        self.seen = Seen()
        self.not_json = 0
        """Number of lines that are not a JSON object; they are sent unchanged, for the consumer to reject."""

    def outgoing(self) -> Iterator[Outgoing]:
        """The lines in their order, batch by batch.

        Raises BadInputFile where no line of the first batch is a record with device_id and ts, or none has a time that
        the consumer reads, or the file is damaged.
        """
        decoder = msgspec.json.Decoder(_Head)
        first = True
        for lines in self.line_batches():
            heads = [_head(decoder, line) for line in lines]
            if first:
                self._check(heads)
                first = False
            self.not_json += heads.count(None)
            yield self._routed(lines, heads)

    def line_batches(self) -> Iterator[list[bytes]]:
        """Lines without their ends, at most BATCH_ROWS at a time."""
        try:
            with self._open() as file:
                stripped = (line for raw in file if (line := raw.rstrip(b"\r\n")).strip())
                while lines := list(islice(stripped, BATCH_ROWS)):
                    yield lines
        except (OSError, EOFError, zlib.error) as error:
            raise BadInputFile(f"{self._path} is damaged: {error}") from None

    def _open(self) -> IO[bytes] | gzip.GzipFile:
        if self._path.suffix.lower() == ".gz":
            return gzip.open(self._path, "rb")
        return self._path.open("rb")

    def _check(self, heads: list[_Head | None]) -> None:
        for field in ("device_id", "ts"):
            if not any(head is not None and getattr(head, field) is not None for head in heads):
                raise BadInputFile(
                    f"{self._path}: none of the first {len(heads)} lines is a JSON object with {field!r}; "
                    f'name the right field in a mapping: [{field}] column = "..."'
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
        for key in set(keys) - {NO_KEY}:
            self.seen.devices.setdefault(key, None)
        return Outgoing(keys, lines, ms)


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
