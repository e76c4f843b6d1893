"""The replay of rejected records: read, put, mark."""

from collections import Counter
from collections.abc import Iterable

import msgspec

from contracts.ledger import REJECTED, LandedObject, LedgerEntry
from contracts.names import reason_of_key
from ingest.landing import ObjectStore
from ingest.replay.marks import Mark, Marks
from ingest.replay.rejects import Reject, rejects_in, requests_of
from ingest.replay.writer import RecordWriter
from ingest.runtime.clock import Clock, SystemClock


class ReplayReport(msgspec.Struct, kw_only=True):
    """The result of one replay. Counts are of rejected user records."""

    region: str = ""
    found: int = 0
    """Listed by the ledger, for the given reasons: the sum of all further counts."""
    put: int = 0
    replayed_before: int = 0
    rejected_again: int = 0
    """Put back by an earlier run and rejected again; put back once more only if asked for."""
    refused: int = 0
    """Refused by the stream, for example because the origin makes them too large."""
    gone: int = 0
    """In an object that has expired or was erased."""
    put_by_reason: dict[str, int] = {}


class Replayer:
    """Puts rejected records back on the stream.

    Promises
    - A record is marked only after the stream has it, so no record is skipped that was not put.
    - A marked record is never put again. After a kill between put and mark, the next run puts it a second time: the
      same bytes, so the same identity, and history keeps one.
    - The bytes are the device's own. Raises SinkUnavailable; records put until then stay put.
    """

    def __init__(self, store: ObjectStore, writer: RecordWriter, clock: Clock | None = None) -> None:
        self._store = store
        self._writer = writer
        self._marks = Marks(store)
        self._clock = clock or SystemClock()

    async def run(
        self, entries: Iterable[LedgerEntry], *, reason: str | None = None, again: bool = False
    ) -> ReplayReport:
        """Put back what these ledger entries list as rejected, all or of one reason.

        again: also records that were put back before and rejected again.
        """
        report = ReplayReport()
        counted: Counter[str] = Counter()
        for entry in entries:
            for listed in entry.objects:
                if listed.kind == REJECTED and reason in (None, reason_of_key(listed.key)):
                    await self._replay(listed, report, counted, again=again)
        report.put_by_reason = dict(sorted(counted.items()))
        return report

    async def _replay(self, listed: LandedObject, report: ReplayReport, counted: Counter[str], *, again: bool) -> None:
        report.found += listed.rows
        marked = {(mark.sequence_number, mark.sub_sequence) for mark in await self._marks.of(listed.key)}
        report.replayed_before += len(marked)
        if len(marked) >= listed.rows:
            return
        try:
            rejects = rejects_in(await self._store.get(listed.key))
        except KeyError:
            report.gone += listed.rows - len(marked)
            return
        waiting = [one for one in rejects if (one.at.sequence_number, one.at.sub_sequence) not in marked]
        wanted = [one for one in waiting if again or not one.replayed]
        report.rejected_again += len(waiting) - len(wanted)
        for run in requests_of(wanted):
            await self._put(listed.key, run, report, counted)

    async def _put(self, key: str, rejects: list[Reject], report: ReplayReport, counted: Counter[str]) -> None:
        placed = await self._writer.put([one.outgoing() for one in rejects])
        now_ms = self._clock.wall_ms()
        marks = [
            Mark(
                sequence_number=one.at.sequence_number,
                sub_sequence=one.at.sub_sequence,
                replayed_at_ms=now_ms,
                put_shard_id=place.shard_id,
                put_sequence_number=place.sequence_number,
            )
            for one, place in zip(rejects, placed, strict=True)
            if place is not None
        ]
        await self._marks.add(key, marks)
        counted.update(one.reason for one, place in zip(rejects, placed, strict=True) if place is not None)
        report.put += len(marks)
        report.refused += len(rejects) - len(marks)
