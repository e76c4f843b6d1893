-- A trip is of who had the device when it started. Where several people had it, nobody knows who drove: it is told to
-- each of them as shared, and counts for none.
with trips as (
    select * from {{ ref('stg_trip') }}
    where {{ in_window('day') }}
),

drivers as (
    select * from {{ ref('int_driver') }}
),

periods as (
    select * from {{ ref('int_device_period') }}
),

work_hours as (
    select * from {{ ref('stg_work_hours') }}
),

driven as (
    select
        trips.*,
        drivers.subject_id,
        {{ fleet_of('periods') }} as fleet_id,
        {{ local_time('trips.start_ts') }} as start_local,
        count(*) over (partition by trips.trip_id) as people
    from trips
    inner join drivers
        on
            trips.device_id = drivers.device_id
            and trips.start_ts >= drivers.applies_from
            and trips.start_ts < drivers.applies_to
    {{ with_period('trips', 'periods') }}
),

judged as (
    select
        driven.*,
        {{ is_private('driven') }} as is_private,
        driven.fleet_id in (select work_hours.fleet_id from work_hours) as has_work_hours,
        driven.fleet_id in (
            select work_hours.fleet_id from work_hours
            where
                work_hours.weekday = extract(isodow from driven.start_local)
                and driven.start_local::time >= work_hours.starts_local
                and driven.start_local::time < work_hours.ends_local
        ) as is_at_work
    from driven
),

-- Of a private trip only that it was, how far and how long is told, not when.
told as (
    select
        *,
        people = 1 as is_own,
        people = 1 and is_private as is_own_private,
        case when has_work_hours then people = 1 and not is_private and not is_at_work end as is_after_hours
    from judged
),

final as (
    select
        subject_id,
        device_id,
        day,
        fleet_id,
        min(start_ts) filter (where not is_private) as start_ts,
        max(end_ts) filter (where not is_private) as end_ts,
        count(*) filter (where is_own) as trips,
        coalesce({{ exact_sum('case when is_own then distance_km end') }}, 0) as distance_km,
        coalesce({{ exact_sum('case when is_own then moving_s end') }}, 0) as moving_s,
        coalesce({{ exact_sum('case when is_own then idle_s end') }}, 0) as idle_s,
        count(*) filter (where is_own_private) as private_trips,
        coalesce({{ exact_sum('case when is_own_private then distance_km end') }}, 0) as private_distance_km,
        coalesce({{ exact_sum('case when is_own_private then moving_s end') }}, 0) as private_moving_s,
        case when has_work_hours then count(*) filter (where is_after_hours) end as after_hours_trips,
        case
            when has_work_hours then coalesce({{ exact_sum('case when is_after_hours then distance_km end') }}, 0)
        end as after_hours_distance_km,
        case
            when has_work_hours then coalesce({{ exact_sum('case when is_after_hours then moving_s end') }}, 0)
        end as after_hours_moving_s,
        count(*) filter (where not is_own) as shared_trips,
        {{ is_final('day') }} as is_final,
        {{ refreshed_at() }} as refreshed_at
    from told
    group by subject_id, device_id, day, fleet_id, has_work_hours
)

select * from final
