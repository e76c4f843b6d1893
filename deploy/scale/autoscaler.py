"""AWS's decisions, minute by minute: target tracking and step scaling as their documentation has them.

Target tracking makes an alarm above the target for three minutes, and one below nine tenths of it for fifteen; it
brings capacity to what the figure asks for, out at once and in by no more than that. Steps add their percentage while
their alarm holds. Out wins over in.
"""

import math
from collections import deque
from collections.abc import Callable

from deploy.scale.policy import Scaling

HIGH_MINUTES, LOW_MINUTES = 3, 15
_LOW_SHARE = 0.9


class Autoscaler:
    """How many tasks are wanted, from one minute's figures to the next."""

    def __init__(self, scaling: Scaling, tasks: int | None = None) -> None:
        self._scaling = scaling
        self.wanted = tasks or scaling.fewest
        self._each: deque[float] = deque(maxlen=LOW_MINUTES)
        self._lag_ms: deque[float] = deque(maxlen=scaling.alarm_minutes)
        self._may_go_out_s = self._may_come_in_s = self._may_step_s = -math.inf

    def minute(self, now_s: float, records_s: float, running: int, lag_ms: float) -> int:
        """The minute's figures; how many tasks are wanted now."""
        self._each.append(records_s / max(1, running))
        self._lag_ms.append(lag_ms)
        out = max(self._tracked_out(now_s, running), self._stepped(now_s))
        if out > self.wanted:
            self._set(out, now_s)
        elif (fewer := self._tracked_in(now_s, running)) < self.wanted:
            self.wanted = max(self._scaling.fewest, fewer)
            self._may_come_in_s = now_s + self._scaling.in_cooldown_s
        return self.wanted

    def _set(self, out: int, now_s: float) -> None:
        self.wanted = min(self._scaling.most, out)
        self._may_go_out_s = now_s + self._scaling.out_cooldown_s
        self._may_come_in_s = now_s + self._scaling.in_cooldown_s

    def _tracked_out(self, now_s: float, running: int) -> int:
        if now_s < self._may_go_out_s or not self._held(HIGH_MINUTES, lambda each: each > self._scaling.target):
            return self.wanted
        return math.ceil(running * self._each[-1] / self._scaling.target)

    def _tracked_in(self, now_s: float, running: int) -> int:
        low = _LOW_SHARE * self._scaling.target
        if now_s < self._may_come_in_s or not self._held(LOW_MINUTES, lambda each: each < low):
            return self.wanted
        return math.ceil(running * max(self._each) / self._scaling.target)

    def _stepped(self, now_s: float) -> int:
        full = len(self._lag_ms) == self._scaling.alarm_minutes
        if now_s < self._may_step_s or not (full and min(self._lag_ms) > self._scaling.alarm_ms):
            return self.wanted
        beyond = self._lag_ms[-1] - self._scaling.alarm_ms
        percent = max((step.percent for step in self._scaling.steps if step.above <= beyond), default=0.0)
        self._may_step_s = now_s + self._scaling.step_cooldown_s
        return self.wanted + max(self._scaling.least_step, math.floor(self.wanted * percent / 100))

    def _held(self, minutes: int, test: Callable[[float], bool]) -> bool:
        return len(self._each) >= minutes and all(map(test, list(self._each)[-minutes:]))
