"""Token buckets by key, with a bounded number of keys."""

from collections import OrderedDict
from collections.abc import Callable

MOST_KEYS = 100_000
Clock = Callable[[], float]


class Rates:
    """How much each key may do: `rate_s` a second, `burst` at once.

    A key that was forgotten for want of room starts with a full burst: beyond MOST_KEYS the first are forgotten.
    """

    def __init__(self, rate_s: float, burst: float, clock: Clock) -> None:
        self._rate_s, self._burst = rate_s, burst
        self._clock = clock
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()
        """What is left, and as of when."""

    def wait_s(self, key: str, cost: float = 1.0, rate_s: float | None = None) -> float:
        """Seconds until the key may do it; 0 is now. rate_s: the key's own rate, with as long a burst. Takes nothing.

        What costs more than a burst may be done once the bucket is full.
        """
        rate, most = self._of(rate_s)
        lacking = min(cost, most) - self._level(key, rate, most)
        return max(0.0, lacking / rate)

    def take(self, key: str, cost: float = 1.0, rate_s: float | None = None) -> float:
        """The key does it; how long it would have had to wait, 0 where it was in time."""
        rate, most = self._of(rate_s)
        now, before = self._clock(), self._levels.get(key)
        level = most if before is None else min(most, before[0] + (now - before[1]) * rate)
        self._levels[key] = (level - cost, now)
        if before is None and len(self._levels) > MOST_KEYS:
            self._levels.popitem(last=False)
        lacking = min(cost, most) - level
        return lacking / rate if lacking > 0 else 0.0

    def give_back(self, key: str, cost: float = 1.0) -> None:
        """The key did not do it after all."""
        level, since = self._levels[key]
        self._levels[key] = (level + cost, since)

    def _of(self, rate_s: float | None) -> tuple[float, float]:
        return (self._rate_s, self._burst) if rate_s is None else (rate_s, self._burst * rate_s / self._rate_s)

    def _level(self, key: str, rate: float, most: float) -> float:
        level, since = self._levels.get(key, (most, 0.0))
        return min(most, level + (self._clock() - since) * rate)


class Bans:
    """Keys that are refused until a time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until: OrderedDict[str, float] = OrderedDict()

    def ban(self, key: str, seconds: float) -> None:
        """Refuse the key for so long from now."""
        self._until[key] = self._clock() + seconds
        self._until.move_to_end(key)
        if len(self._until) > MOST_KEYS:
            self._until.popitem(last=False)

    def left_s(self, key: str) -> float:
        """For how long the key is still refused; 0 where it is not."""
        until = self._until.get(key)
        if until is None:
            return 0.0
        left = until - self._clock()
        if left <= 0:
            del self._until[key]
            return 0.0
        return left
