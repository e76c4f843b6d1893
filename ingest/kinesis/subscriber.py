"""A place in a shard that moves on as the shard pushes: new subscriptions for expired ones, back-off with jitter."""

import random

import structlog

from ingest.batch import ShardId
from ingest.kinesis.fan_out import FanOut, Subscription, SubscriptionInUse
from ingest.kinesis.protocol import Records, Start, StreamUnavailable, Throttled

_log = structlog.get_logger()
_FIRST_WAIT_S = 0.1
_IN_USE_WAIT_S = 1.0
_LONGEST_WAIT_S = 10.0


class ShardSubscriber:
    """Reads one shard from `start` on, as ingest.kinesis.ShardCursor does and with the same promises.

    A subscription that ends, breaks or is taken over is followed by another just after the last event given. While
    nobody calls `read`, the connection fills and Kinesis waits: nothing piles up here.
    """

    def __init__(self, fan_out: FanOut, shard_id: ShardId, start: Start, *, seed: int = 0) -> None:
        self.shard_id = shard_id
        self.throttled = 0
        self._fan_out = fan_out
        self._start = start
        self._jitter = random.Random(f"{seed}/{shard_id}")  # noqa: S311
        self._subscription: Subscription | None = None
        self._failing = False

    async def read(self) -> Records:
        """The next event, after as many subscriptions as it takes."""
        failures = 0
        while True:
            try:
                answer = await self._try()
            except StreamUnavailable as error:
                self.close()
                failures += 1
                self._note(error)
                await self._fan_out.clock.sleep(self._back_off_s(failures, error))
            else:
                self._failing = False
                return answer

    def close(self) -> None:
        """Hang up."""
        if self._subscription is not None:
            self._subscription.close()
            self._subscription = None

    async def _try(self) -> Records:
        while True:
            if self._subscription is None:
                self._subscription = await self._fan_out.subscribe(self.shard_id, self._start)
            answer = await self._subscription.next()
            if answer is not None:
                self._moved(answer)
                return answer
            fruitful = self._subscription.fruitful
            self.close()
            if not fruitful:
                raise StreamUnavailable("a subscription ended before its first event")

    def _moved(self, answer: Records) -> None:
        if answer.next_iterator is not None:
            self._start = Start.after(answer.next_iterator)
        else:
            self.close()

    def _note(self, error: StreamUnavailable) -> None:
        self.throttled += isinstance(error, Throttled)
        if not self._failing:
            self._failing = True
            _log.warning("stream.unavailable", shard=self.shard_id, error=str(error))

    def _back_off_s(self, failures: int, error: StreamUnavailable) -> float:
        first_s = _IN_USE_WAIT_S if isinstance(error, SubscriptionInUse) else _FIRST_WAIT_S
        return self._jitter.uniform(0.5, 1.0) * min(_LONGEST_WAIT_S, first_s * 2.0 ** min(failures, 10))
