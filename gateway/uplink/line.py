"""What a device keeps until it is answered, whatever it speaks."""

import asyncio
import math
import ssl
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 10.0
"""Before a device connects again, or sends what was refused for now."""
MOST_RECORDS, MOST_BYTES = 100, 48 * 1024
"""Records of one message, and their bytes."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the gateway is, and the name on its certificate."""

    host: str
    port: int
    server_name: str


@dataclass(slots=True)
class Answers:
    """What the gateway answered, in user records; messages, connections that broke or were refused, and those that the
    devices ended: with a goodbye before they slept, or without one where they changed networks.
    """

    acknowledged: int = 0
    messages: int = 0
    reconnects: int = 0
    slept: int = 0
    roamed: int = 0
    refused: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Habits:
    """What devices do to their connections by themselves; by default nothing."""

    sleeps_after_s: float = math.inf
    """With nothing to send for so long, a device says goodbye, and connects again once it has something."""
    roams_after_s: float = math.inf
    """A connection breaks off without goodbye after a half to three halves of this, as if the network had changed."""


Message = list[bytes]
"""Records that are sent together."""


class Line(ABC):
    """One device's messages in order. A subclass sends them.

    Promises
    - A record is dropped only once it is acknowledged, or refused for good. Until then it is sent again, in order.
    - `settled` is called with the records and bytes of each message that is done with.
    """

    def __init__(
        self,
        device_id: str,
        endpoint: Endpoint,
        tls: ssl.SSLContext,
        answers: Answers,
        settled: Callable[[int, int], None],
        habits: Habits | None = None,
    ) -> None:
        self.device_id, self.endpoint, self.tls, self.answers = device_id, endpoint, tls, answers
        self.habits = habits or Habits()
        self.waiting: deque[Message] = deque()
        self.wake = asyncio.Event()
        self._settled = settled
        self._open: Message = []
        """The message that was begun last."""
        self._size = 0

    def add(self, records: Sequence[bytes]) -> None:
        """Send these, after those before; with what waits already, as far as a message has room."""
        for record in records:
            is_open = bool(self.waiting) and self.waiting[-1] is self._open
            if not is_open or len(self._open) >= MOST_RECORDS or self._size + len(record) > MOST_BYTES:
                self._open, self._size = [], 0
                self.waiting.append(self._open)
            self._open.append(record)
            self._size += len(record)
        self.wake.set()

    async def run(self) -> None:
        """Send until cancelled."""
        failures = 0
        while True:
            if not self.waiting:
                self.wake.clear()
                await self.wake.wait()
            if await self.converse():
                failures = 0
                continue
            failures += 1
            await asyncio.sleep(min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(failures - 1, 10)))

    @abstractmethod
    async def converse(self) -> bool:
        """Send what waits; False where it did not get in, or was told to wait: a pause is due."""

    def acknowledged(self, message: Message) -> None:
        """The gateway has it."""
        self.answers.messages += 1
        self.answers.acknowledged += len(message)
        self._done(message)

    def refused(self, message: Message, reason: str) -> None:
        """Sending again does not help: half by half, if there are several records; else it is given up."""
        if len(message) > 1:
            middle = len(message) // 2
            self.waiting.extendleft((message[middle:], message[:middle]))
            self.wake.set()
            return
        self.answers.messages += 1
        self.answers.refused[reason] += 1
        self._done(message)

    def _done(self, message: Message) -> None:
        self._settled(len(message), sum(map(len, message)))
