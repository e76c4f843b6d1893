"""A day of a region's consumers: demand, shards, workers that come, go and are lost, by the template's own policies.

A fluid model, shard by shard: what arrives waits until the shard's owner reads it. A shard that changes hands is unread
for a hand-over, one whose worker died for a lease's TTL. What a shard may not take is kept by devices and sent again.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec
import numpy as np

from deploy.scale.autoscaler import Autoscaler
from deploy.scale.demand import LostWorkers
from deploy.scale.policy import Scaling

DAY_S = 86_400


class Worker(msgspec.Struct, frozen=True, kw_only=True):
    """What one worker does, as benchmarks printed it, and what Kinesis allows a shard."""

    records_s: float
    """`fleetlake bench consumer`: the whole path, for the cores that a task has."""
    start_s: float
    """From the decision to a ready worker: a task's start, and the role's own start to ready."""
    hand_over_s: float = 1.3
    """`fleetlake bench scale`: the longest that a shard stands unread while workers come or go."""
    lease_ttl_s: float = 10.0
    """`fleetlake bench chaos`: a dead worker's shards are read again after some 10 s."""
    poll_s: float = 0.2
    """GetRecords five times a second and shard."""
    shard_in_s: float = 4_587.0
    """Records of 218 B that a shard takes a second, as aggregates: 1 MB."""
    shard_out_s: float = 9_174.0
    """... and gives: 2 MB."""


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """How long a step of the model is, and what counts as a minute of the policies: less where a run is compressed."""

    tick_s: float = 5.0
    minute_s: float = 60.0


IN_REAL_TIME = Pace()


@dataclass
class Course:
    """What happened, a value a minute, and the lag of every tick."""

    minutes: list[float] = field(default_factory=list)
    records_s: list[float] = field(default_factory=list)
    workers: list[int] = field(default_factory=list)
    lag_s: list[float] = field(default_factory=list)
    worst_lag_s: list[float] = field(default_factory=list)
    """Of each minute."""
    throttled: float = 0.0
    """Records that shards refused once; devices sent them again."""
    worker_s: float = 0.0

    def quantile(self, share: float) -> float:
        """The lag that this share of all ticks does not exceed."""
        return float(np.quantile(self.lag_s, share))


class Consumers:
    """The workers of one region and its shards."""

    def __init__(self, scaling: Scaling, worker: Worker, tasks: int) -> None:
        self._worker, self._shards = worker, scaling.shards
        self.running = tasks
        self.starting: list[float] = []
        """When each task that was started is ready."""
        self._owners = self._shared(tasks)
        self._unread_until_s = np.zeros(scaling.shards)
        self._backlog = np.zeros(scaling.shards)

    def want(self, wanted: int, now_s: float) -> None:
        """Start tasks, or stop some: those that stop hand their shards over."""
        missing = wanted - self.running - len(self.starting)
        if missing > 0:
            self.starting += [now_s + self._worker.start_s] * missing
        elif missing < 0:
            del self.starting[missing:]
            if wanted < self.running:
                self._move_to(wanted, now_s + self._worker.hand_over_s)

    def lose(self, share: float, now_s: float, back_s: float) -> None:
        """Workers die at once: their shards are unread for a lease's TTL, and others are started in their place."""
        gone = min(self.running - 1, max(1, round(share * self.running)))
        dead = self._owners >= self.running - gone
        self._unread_until_s[dead] = now_s + self._worker.lease_ttl_s
        self.running -= gone
        self._owners = self._shared(self.running)
        self.starting += [back_s + self._worker.start_s] * gone

    def tick(self, now_s: float, arriving_s: float, seconds: float) -> float:
        """Let time pass; the longest lag of a shard."""
        ready = sum(at <= now_s for at in self.starting)
        if ready:
            self.starting = [at for at in self.starting if at > now_s]
            self._move_to(self.running + ready, now_s + self._worker.hand_over_s)
        held = np.bincount(self._owners, minlength=self.running)[self._owners]
        able = np.minimum(self._worker.records_s / held, self._worker.shard_out_s)
        # A shard that changes hands within the tick is read for the rest of it.
        reading_s = np.clip(now_s + seconds - np.maximum(self._unread_until_s, now_s), 0.0, seconds)
        each_s = arriving_s / self._shards
        self._backlog = np.maximum(0.0, self._backlog + each_s * seconds - able * reading_s)
        unread = np.maximum(0.0, self._backlog / max(each_s, 1e-9))
        stood = np.where(unread > 0, 0.0, seconds - reading_s)
        return float(np.max(np.maximum(unread, stood))) + self._worker.poll_s

    def _move_to(self, running: int, until_s: float) -> None:
        before, self.running = self._owners, running
        self._owners = self._shared(running)
        moved = before != self._owners
        self._unread_until_s[moved] = np.maximum(self._unread_until_s[moved], until_s)

    def _shared(self, running: int) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
        """The owner of each shard: a shard moves only where it has to."""
        busy = max(1, min(running, self._shards))
        if not hasattr(self, "_owners"):
            return np.arange(self._shards, dtype=np.int64) % busy
        owners = self._owners.copy()
        most = -(-self._shards // busy)
        counts = np.bincount(owners[owners < busy], minlength=busy)[:busy].tolist()
        for shard in range(self._shards):
            owner = int(owners[shard])
            if owner < busy and counts[owner] <= most:
                continue
            if owner < busy:
                counts[owner] -= 1
            least = min(range(busy), key=counts.__getitem__)
            owners[shard] = least
            counts[least] += 1
        _fill_idle(owners, counts)
        return owners


def _fill_idle(owners: "np.ndarray[tuple[int], np.dtype[np.int64]]", counts: list[int]) -> None:
    """Give each worker without enough shards one of the worker that has most, until none has two more than another."""
    while max(counts) - min(counts) > 1:
        rich, poor = counts.index(max(counts)), counts.index(min(counts))
        owners[int(np.flatnonzero(owners == rich)[-1])] = poor
        counts[rich] -= 1
        counts[poor] += 1


def run_day(
    scaling: Scaling, worker: Worker, records_s: Callable[[float], float], *, fixed: int | None = None,
    lost: tuple[LostWorkers, ...] = (), seconds: float = DAY_S, pace: Pace = IN_REAL_TIME,
) -> Course:  # fmt: skip
    """Let a day pass. fixed: so many workers all day, instead of the policies."""
    first = fixed or scaling.fewest
    consumers, autoscaler, course = Consumers(scaling, worker, first), Autoscaler(scaling, first), Course()
    kept, losses, sums, worst = 0.0, list(lost), list[float](), 0.0
    ticks_a_minute = round(pace.minute_s / pace.tick_s)
    for number in range(round(seconds / pace.tick_s)):
        now_s = number * pace.tick_s
        while losses and losses[0].begins_s <= now_s:
            loss = losses.pop(0)
            consumers.lose(loss.share, now_s, now_s + loss.missing_s)
        offered_s = records_s(now_s) + kept / pace.tick_s
        taken_s = min(offered_s, scaling.shards * worker.shard_in_s)
        kept = (offered_s - taken_s) * pace.tick_s
        course.throttled += kept
        lag_s = consumers.tick(now_s, taken_s, pace.tick_s)
        course.lag_s.append(lag_s)
        course.worker_s += (consumers.running + len(consumers.starting)) * pace.tick_s
        sums.append(taken_s)
        worst = max(worst, lag_s)
        if len(sums) == ticks_a_minute:
            mean = sum(sums) / len(sums)
            _note(course, now_s, mean, consumers.running, worst)
            if fixed is None:
                end_s = now_s + pace.tick_s
                consumers.want(autoscaler.minute(end_s, mean, consumers.running, worst * 1_000), end_s)
            sums, worst = [], 0.0
    return course


def _note(course: Course, now_s: float, records_s: float, workers: int, worst: float) -> None:
    course.minutes.append(now_s / 60)
    course.records_s.append(records_s)
    course.workers.append(workers)
    course.worst_lag_s.append(worst)
