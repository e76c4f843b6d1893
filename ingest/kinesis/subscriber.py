"""Reads a shard by subscription: a new one after each expires, back-off with jitter."""

from ingest.batch import ShardId
from ingest.kinesis.fan_out import FanOut, Subscription, SubscriptionInUse
from ingest.kinesis.protocol import SMALL_ANSWER_BYTES, NoTurn, Records, Start, StreamUnavailable, Turn
from ingest.kinesis.trouble import Trouble

_IN_USE_WAIT_S = 2.0


class ShardSubscriber:
    """A ShardReader that subscribes.

    After a subscription ends, breaks or is taken over, it subscribes again just after the last event returned. While
    nobody calls `read`, the connection fills and Kinesis waits: no records accumulate here. An event of a megabyte or
    two comes whenever it likes, so its turn is waited for once it is there.
    """

    def __init__(
        self,
        fan_out: FanOut,
        shard_id: ShardId,
        start: Start,
        *,
        trouble: Trouble | None = None,
        turn: Turn | None = None,
    ) -> None:
        self.shard_id = shard_id
        self.trouble = trouble or Trouble(shard_id, fan_out.clock)
        self._fan_out = fan_out
        self._start = start
        self._turn = turn or NoTurn()
        self._pushed: Records | None = None
        """An event that waits for its turn."""
        self._subscription: Subscription | None = None

    async def read(self) -> Records:
        """The next event, after as many subscriptions as it takes."""
        if self._pushed is None:
            self._pushed = await self._next()
        if self._pushed.bytes_read > SMALL_ANSWER_BYTES:
            await self._turn.begin()
        answer, self._pushed = self._pushed, None
        return answer

    async def _next(self) -> Records:
        while True:
            try:
                answer = await self._try()
            except SubscriptionInUse as error:
                self.close()
                await self._fan_out.clock.sleep(self.trouble.note(error, first_s=_IN_USE_WAIT_S))
            except StreamUnavailable as error:
                self.close()
                await self._fan_out.clock.sleep(self.trouble.note(error))
            else:
                self.trouble.over()
                return answer

    def close(self) -> None:
        """Close the subscription."""
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
            # Where the end is not believed, reading goes on after what was read.
            if answer.records:
                self._start = Start.after(answer.records[-1].sequence_number)
            self.close()
