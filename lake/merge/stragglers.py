"""When rows that came late are worth a merge.

An object's stragglers wait in landing, where spot queries see them, until one of these holds:
- they waited `straggler_wait_h` hours since their commit;
- the UTC day in which they arrived closed (the region's watermark is in a later one);
- the earliest day they belong to has no row in history: nothing is gained by waiting;
- the stragglers waiting for one of their days exceed `straggler_share` of that day's rows in history.
The object is the unit: a due day takes all stragglers of its objects along, so that an object is merged once.
The ledger gives each object's event times as a range only, so all its stragglers count towards each day of the range.
That merges too early at worst, and costs no read of landing. A device whose clock was reset must not make every object
due: days with far fewer rows than the object's largest day do not count, nor do days within a very long range.
"""

from collections import Counter
from collections.abc import Mapping
from datetime import date, datetime, timedelta

import msgspec
import psycopg

from contracts.settings import LakeSettings
from lake.iceberg.partitions import rows_by_day
from lake.iceberg.tables import history
from lake.merge.plan import OpenObject
from lake.merge.progress import StragglerObject, unmerged_stragglers

FAIR_PART = 0.01
"""A day counts for an object only if it has at least this part of the rows of the object's largest day."""
MOST_DAYS = 31
"""Of a longer range only the first and the last day count: hardly any of its rows belong to the days between."""


class Waiting(msgspec.Struct, frozen=True):
    """One object's stragglers."""

    key: str
    hour: datetime
    stragglers: int
    first_day: date
    last_day: date
    committed_at: datetime

    @property
    def days(self) -> list[date]:
        """The UTC days its stragglers are counted towards."""
        span = (self.last_day - self.first_day).days
        return [self.first_day + timedelta(days=n) for n in (range(span + 1) if span < MOST_DAYS else (0, span))]


def due_objects(
    connection: psycopg.Connection, settings: LakeSettings, now: datetime, watermark: datetime | None
) -> list[OpenObject]:
    """The objects whose stragglers are due at `now`. Reads history's manifests only where they decide.

    watermark: the region's, as the leases have it; None while nothing was consumed.
    """
    waiting = [_waiting(item) for item in unmerged_stragglers(connection)]
    if not waiting:
        return []
    old = now - timedelta(hours=settings.straggler_wait_h)
    today = watermark.date() if watermark else date.min
    late = [item for item in waiting if item.committed_at <= old or item.hour.date() < today]
    if len(late) < len(waiting):
        late = sorted({*late, *over_share(waiting, rows_by_day(history(settings)), settings.straggler_share)}, key=_key)
    return [OpenObject(key=item.key, hour=item.hour, rows=item.stragglers) for item in late]


def over_share(waiting: list[Waiting], rows: Mapping[date, int], share: float) -> list[Waiting]:
    """The objects whose first day is new to history, or of whose days one has more waiting than `share` of its rows."""
    counted: Counter[date] = Counter()
    for item in waiting:
        counted.update(dict.fromkeys(item.days, item.stragglers))
    full = {day for day, count in counted.items() if 0 < rows.get(day, 0) * share < count}
    return [item for item in waiting if not rows.get(item.first_day) or not full.isdisjoint(_weighty(item, rows))]


def _weighty(item: Waiting, rows: Mapping[date, int]) -> list[date]:
    fewest = FAIR_PART * max(rows.get(day, 0) for day in item.days)
    return [day for day in item.days if rows.get(day, 0) >= fewest]


def _waiting(item: StragglerObject) -> Waiting:
    first, last = item.min_ts.date(), item.max_ts.date()
    if item.rows > item.stragglers:
        last = min(last, item.hour.date())  # the newest rows are those on time
    return Waiting(item.key, item.hour, item.stragglers, first, max(first, last), item.committed_at)


def _key(item: Waiting) -> str:
    return item.key
