-- An episode ends on a day on which the device reported without the code. Silence ends none.
with fault_days as (
    select * from {{ ref('stg_fault_day') }}
),

device_days as (
    select * from {{ ref('stg_device_day') }}
),

marked as (
    select
        *,
        lag(day) over (partition by device_id, code order by day) as previous_day
    from fault_days
),

begun as (
    select
        marked.*,
        marked.previous_day is null or exists (
            select 1
            from device_days
            where
                device_days.device_id = marked.device_id
                and device_days.day > marked.previous_day
                and device_days.day < marked.day
        ) as begins
    from marked
),

numbered as (
    select
        *,
        sum(begins::integer) over (partition by device_id, code order by day) as episode
    from begun
),

grouped as (
    select
        device_id,
        code,
        min(day) as first_day,
        max(day) as last_day,
        min(first_ts) as first_seen_ts,
        max(last_ts) as last_seen_ts,
        count(*) as days_seen,
        sum(records)::bigint as records
    from numbered
    group by device_id, code, episode
),

measured as (
    select
        grouped.*,
        since.distance_since_km,
        since.last_reported_day = grouped.last_day as is_open
    from grouped
    cross join lateral (
        select
            {{ exact_sum('coalesce(days.distance_odometer_km, days.distance_gps_km)') }} as distance_since_km,
            max(days.day) as last_reported_day
        from device_days as days
        where
            days.device_id = grouped.device_id
            and days.day >= grouped.first_day
    ) as since
),

final as (
    select
        device_id,
        code,
        first_day,
        last_day,
        first_seen_ts,
        last_seen_ts,
        days_seen,
        records,
        distance_since_km,
        is_open,
        not is_open and {{ is_final('last_day') }} as is_final,
        {{ refreshed_at() }} as refreshed_at
    from measured
)

select * from final
