-- An episode ends on a day on which the device ran and reported without the code. Silence ends none, nor does parking:
-- controllers tell their codes while they have power. Of a device that is never seen to run, every day counts.
-- Device days are looked up by their key, some at once: all of them together are millions.
with fault_days as (
    select * from {{ ref('stg_fault_day') }}
),

faulty_devices as (
    select distinct device_id from fault_days
),

judged_devices as (
    select
        device_id,
        exists (  -- noqa: LT01, LT06
            select 1
            from {{ ref('stg_device_day') }} as device_days
            where
                device_days.device_id = faulty_devices.device_id
                and (device_days.engine_s > 0 or device_days.moving_s > 0)
        ) as is_seen_to_run
    from faulty_devices
),

marked as (
    select
        fault_days.*,
        judged_devices.is_seen_to_run,
        lag(fault_days.day) over (partition by fault_days.device_id, fault_days.code order by fault_days.day)
            as previous_day
    from fault_days
    inner join judged_devices on fault_days.device_id = judged_devices.device_id
),

begun as (
    select
        marked.*,
        marked.previous_day is null or exists (
            select 1
            from {{ ref('stg_device_day') }} as device_days
            where
                device_days.device_id = marked.device_id
                and device_days.day > marked.previous_day
                and device_days.day < marked.day
                and (device_days.engine_s > 0 or device_days.moving_s > 0 or not marked.is_seen_to_run)
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
        sum(records)::bigint as records,
        bool_and(is_seen_to_run) as is_seen_to_run
    from numbered
    group by device_id, code, episode
),

measured as (
    select
        grouped.*,
        since.distance_since_km,
        not exists (
            select 1
            from {{ ref('stg_device_day') }} as device_days
            where
                device_days.device_id = grouped.device_id
                and device_days.day > grouped.last_day
                and (device_days.engine_s > 0 or device_days.moving_s > 0 or not grouped.is_seen_to_run)
        ) as is_open
    from grouped
    cross join lateral (
        select
            {{ exact_sum('coalesce(days.distance_odometer_km, days.distance_gps_km)') }} as distance_since_km
        from {{ ref('stg_device_day') }} as days
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
