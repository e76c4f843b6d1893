"""How many requests a second a token makes, and how many streams it holds."""

import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from serving.problems import TooMany

_BURST_S = 10.0
"""A token that was quiet may ask for so many seconds' worth at once."""
_REMEMBERED = 50_000


class Rates:
    """A token bucket for each token."""

    def __init__(self, requests_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate, self._most, self._clock = requests_s, requests_s * _BURST_S, clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, token_id: str) -> None:
        """Take one request. Raises TooMany, which says when to come again."""
        now = self._clock()
        left, then = self._buckets.get(token_id, (self._most, now))
        left = min(self._most, left + (now - then) * self._rate)
        if left < 1:
            wait_s = (1 - left) / self._rate
            raise TooMany(f"the token may make {self._rate:g} requests a second", retry_after_s=wait_s)
        self._buckets[token_id] = left - 1, now
        self._buckets.move_to_end(token_id)
        if len(self._buckets) > _REMEMBERED:
            self._buckets.popitem(last=False)


class Streams:
    """The streams that are open, by token."""

    def __init__(self, most: int, most_of_token: int) -> None:
        self._most, self._most_of_token = most, most_of_token
        self._open: Counter[str] = Counter()

    @property
    def count(self) -> int:
        """How many are open."""
        return self._open.total()

    @contextmanager
    def hold(self, token_id: str) -> Iterator[None]:
        """One more stream while inside. Raises TooMany."""
        if self.count >= self._most:
            raise TooMany("too many streams are open; ask again later", retry_after_s=10)
        if self._open[token_id] >= self._most_of_token:
            raise TooMany(f"the token has {self._most_of_token} streams open; close one", retry_after_s=10)
        self._open[token_id] += 1
        try:
            yield
        finally:
            self._open[token_id] -= 1
            if not self._open[token_id]:
                del self._open[token_id]
