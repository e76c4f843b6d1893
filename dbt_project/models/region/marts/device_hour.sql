-- Told from trips and episodes, which have times. A row is of the day on which they start: a day's rows depend on that
-- day alone, and what reaches beyond midnight is counted in the hours of its own.
with happened as (
    select
        device_id,
        day,
        'trip' as kind,
        start_ts,
        end_ts,
        distance_km
    from {{ ref('stg_trip') }}
    where {{ in_window('day') }}
    union all
    -- Of episodes only idling is spread over hours; the others count in the hour in which they start.
    select
        device_id,
        day,
        kind,
        start_ts,
        case when kind = 'idle' then end_ts else start_ts end as end_ts,
        0 as distance_km
    from {{ ref('stg_episode') }}
    where {{ in_window('day') }}
),

periods as (
    select * from {{ ref('int_device_period') }}
),

parts as (
    select
        happened.*,
        hours.hour_start_ts,
        hours.hour_start_ts <= happened.start_ts as starts,
        date_part('epoch', happened.end_ts - happened.start_ts) as length_s,
        date_part(
            'epoch',
            least(happened.end_ts, hours.hour_start_ts + interval '1 hour')
            - greatest(happened.start_ts, hours.hour_start_ts)
        ) as part_s
    from happened
    cross join lateral generate_series(
        date_trunc('hour', happened.start_ts, 'UTC'),
        greatest(happened.start_ts, happened.end_ts - interval '1 microsecond'),
        interval '1 hour'
    ) as hours (hour_start_ts)
),

counted as (
    select
        device_id,
        day,
        hour_start_ts,
        count(*) filter (where kind = 'trip' and starts) as trips_started,
        {{ exact_sum("case kind when 'trip' then part_s else 0 end") }} as trip_s,
        {{ exact_sum('coalesce(distance_km * part_s / nullif(length_s, 0), distance_km)') }} as trip_distance_km,
        {{ exact_sum("case kind when 'idle' then part_s else 0 end") }} as idling_s,
        count(*) filter (where kind = 'stop') as stops_started,
        count(*) filter (where kind in ('harsh_braking', 'harsh_acceleration')) as harsh_events,
        count(*) filter (where kind = 'refuel') as refuels,
        count(*) filter (where kind = 'fuel_drop') as fuel_drops
    from parts
    group by device_id, day, hour_start_ts
),

final as (
    select
        counted.device_id,
        counted.day,
        counted.hour_start_ts,
        {{ fleet_of('periods') }} as fleet_id,
        {{ type_of('periods') }} as device_type,
        counted.trips_started,
        counted.trip_s,
        counted.trip_distance_km,
        counted.idling_s,
        counted.stops_started,
        counted.harsh_events,
        counted.refuels,
        counted.fuel_drops,
        {{ is_final('counted.day') }} as is_final,
        {{ refreshed_at() }} as refreshed_at
    from counted
    {{ with_period('counted', 'periods') }}
)

select * from final
