"""What waits too long on its way from landing to the marts, by stage. Counts and moments only: no device is in them."""

from dataclasses import dataclass
from datetime import datetime

from contracts.settings import RegionSettings
from lake.database import transaction

_LATE = """
    with bound as (select now() - make_interval(secs => %(hours)s * 3600) as before),
    waiting as (
        select 'merge' as stage, committed_at as since from ops.landing_object
        where on_time_merged is null or stragglers_merged is null
        union all
        select 'derive', c.changed_at from ops.changed c left join ops.derived d using (day)
        where d.sequence is null or d.sequence < c.sequence
        union all
        select 'marts', d.derived_at from ops.derived d
        left join ops.applied a on a.target = 'marts' and a.day = d.day
        where a.sequence is null or a.sequence < coalesce(d.rows_sequence, d.sequence)
        union all
        select 'consumer', watermark from ops.watermarks where not ended
    )
    select stage, count(*), min(since) from waiting, bound where since < before group by stage order by stage
"""


@dataclass(frozen=True, slots=True)
class Late:
    """What waits at one stage for longer than it may."""

    stage: str
    """merge: landed objects; derive and marts: business days; consumer: shards."""
    count: int
    since: datetime
    """Of the oldest."""


def late(settings: RegionSettings, hours: float) -> list[Late]:
    """The stages at which something waits for longer than so many hours."""
    with transaction(settings) as connection:
        return [Late(*row) for row in connection.execute(_LATE, {"hours": hours})]
