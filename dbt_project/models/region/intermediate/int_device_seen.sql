-- One index step a device instead of a pass over every device day: the cost follows the fleet, not the past.
-- It reads the source itself: Postgres does not see the order of an index through a view with a `with` of its own.
with recursive seen as (
    (
        select
            device_id,
            first_ts
        from {{ source('staging', 'device_day') }}
        order by device_id, day
        limit 1
    )
    union all
    select
        later.device_id,
        later.first_ts
    from seen
    cross join lateral (
        select
            days.device_id,
            days.first_ts
        from {{ source('staging', 'device_day') }} as days
        where days.device_id > seen.device_id
        order by days.device_id, days.day
        limit 1
    ) as later
)

select
    device_id,
    first_ts as first_seen_ts
from seen
where {{ shown('device_id') }}
