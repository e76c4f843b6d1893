"""Committing through lost answers: what happened is read from the ledger, never guessed."""

import random
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import structlog

from contracts.errors import LeaseLost, PositionMoved, SinkUnavailable
from contracts.ledger import LeaseRow, LedgerEntry
from ingest.leases.protocol import Ledger
from ingest.runtime.clock import Clock
from ingest.runtime.metrics import LEASES, WRITES, Metrics

_T = TypeVar("_T")
_FIRST_WAIT_S = 0.1
_LONGEST_WAIT_S = 5.0
_log = structlog.get_logger()


class Retry:
    """Repeats what a remote part did not answer, for ever, and tells the metrics which part and since when."""

    def __init__(self, clock: Clock, metrics: Metrics, seed: str = "") -> None:
        self._clock = clock
        self._metrics = metrics
        self._jitter = random.Random(seed)  # noqa: S311

    async def until_done(self, sink: str, operation: Callable[[], Awaitable[_T]], *, kind: str = WRITES) -> _T:
        """The operation's result; it must be harmless to repeat. Anything but SinkUnavailable comes through.

        Where it is given up instead, and nothing else waits for the part either, nothing is missing any more.
        """
        failures = 0
        try:
            while True:
                try:
                    return await self.once(sink, operation(), kind=kind)
                except SinkUnavailable:
                    failures += 1
                    if failures == 1:
                        self._metrics.waits(sink, kind, 1)
                    await self._clock.sleep(self._wait_s(failures))
        finally:
            if failures and not self._metrics.waits(sink, kind, -1):
                self.worked(sink, kind=kind)

    async def once(self, sink: str, operation: Awaitable[_T], *, kind: str = WRITES) -> _T:
        """The operation's result, its success or failure noted."""
        try:
            result = await operation
        except SinkUnavailable as error:
            self.failed(sink, error, kind=kind)
            raise
        except (LeaseLost, PositionMoved):
            self.worked(sink, kind=kind)
            raise
        self.worked(sink, kind=kind)
        return result

    def failed(self, sink: str, error: Exception, *, kind: str = WRITES) -> None:
        """Note a failure."""
        if self._metrics.sink_failed(sink, kind):
            _log.warning("sink.down", sink=sink, error=str(error))

    def worked(self, sink: str, *, kind: str = WRITES) -> None:
        """Note a success."""
        down_s = self._metrics.sink_worked(sink, kind)
        if down_s is not None:
            _log.info("sink.up", sink=sink, down_s=round(down_s, 1))

    def _wait_s(self, failures: int) -> float:
        return self._jitter.uniform(0.5, 1.0) * min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2.0 ** min(failures, 10))


async def commit_for_sure(
    ledger: Ledger,
    retry: Retry,
    lease: LeaseRow,
    entry: LedgerEntry | None,
    *,
    children: Sequence[LeaseRow] | None,
    committed: LeaseRow,
) -> LeaseRow:
    """Commit, and come back only when it is known to be in the ledger; `committed` is the lease as it then is.

    Raises LeaseLost or PositionMoved where it is known not to be there and never will.
    """

    async def once() -> LeaseRow:
        try:
            return await ledger.commit(lease, entry, children=children)
        except (LeaseLost, PositionMoved):
            # An earlier attempt whose answer was lost may have done it: only the ledger knows.
            if entry is None:
                raise
            found = await ledger.find(entry.shard_id, entry.last_seq)
            if found is None or (found.worker, found.fence) != (entry.worker, entry.fence):
                raise
            return committed

    return await retry.until_done(LEASES, once)
