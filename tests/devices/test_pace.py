"""A paced run lets records leave when their event times say so, on a clock that the test turns."""

import numpy as np
import pytest

from contracts.errors import Misuse
from devices.outgoing import Outgoing
from devices.pace import Pacer, parse_rate

START_MS = 1_700_000_000_000


class Clock:
    """A clock that moves only when slept on."""

    def __init__(self) -> None:
        self.now_s = 50.0

    def __call__(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


def outgoing(*after_s: float) -> Outgoing:
    due = np.array([START_MS + round(seconds * 1000) for seconds in after_s], np.int64)
    return Outgoing([str(seconds) for seconds in after_s], [b"{}"] * len(after_s), due)


def left_at(rate: float, *batches: Outgoing) -> dict[str, float]:
    """When each record left, in seconds from the start, by its key."""
    clock = Clock()
    pacer = Pacer(rate, clock=clock, sleep=clock.sleep)
    return {
        key: clock.now_s - 50.0 for batch in batches for part in pacer.parts(batch, lambda: None) for key in part.keys
    }


@pytest.mark.parametrize("rate", [1.0, 60.0, 0.5])
def test_records_leave_at_their_time_and_at_most_a_tick_later(rate: float) -> None:
    times = left_at(rate, outgoing(0, 1, 1.01, 30), outgoing(300, 301))
    assert list(times) == ["0", "1", "1.01", "30", "300", "301"]
    for key, left in times.items():
        assert float(key) / rate <= left <= float(key) / rate + 0.2


def test_event_time_that_goes_backward_is_due_with_what_is_before_it() -> None:
    times = left_at(1.0, outgoing(0, 100, 40), outgoing(60, 120))
    assert times["40"] == times["100"] == times["60"]
    assert times["120"] >= 120


def test_what_is_held_is_flushed_before_each_wait() -> None:
    clock, flushed = Clock(), []
    pacer = Pacer(1.0, clock=clock, sleep=clock.sleep)
    for _ in pacer.parts(outgoing(0, 0.01, 5, 10), lambda: flushed.append(clock.now_s)):
        pass
    assert len(flushed) >= 3


@pytest.mark.parametrize(("text", "rate"), [("max", None), ("1", 1.0), ("0.25", 0.25), ("3600", 3600.0)])
def test_rates(text: str, rate: float | None) -> None:
    assert parse_rate(text) == rate


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "fast", ""])
def test_what_is_no_rate_is_misuse(text: str) -> None:
    with pytest.raises(Misuse, match="is no rate; give a number above 0"):
        parse_rate(text)
