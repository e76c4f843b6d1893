-- An episode ends on a day on which the device ran and reported without the code. Silence ends none, nor does parking:
-- controllers tell their codes while they have power. Of a device that is never seen to run, every day counts.
with fault_days as (
    select * from {{ ref('stg_fault_day') }}
),

device_days as (
    select * from {{ ref('stg_device_day') }}
),

judged_days as (
    select
        device_id,
        day,
        engine_s > 0 or moving_s > 0 as ran,
        coalesce(bool_or(engine_s > 0 or moving_s > 0) over (partition by device_id), false) as is_seen_to_run
    from device_days
),

telling_days as (
    select
        device_id,
        day
    from judged_days
    where ran or not is_seen_to_run
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
            from telling_days
            where
                telling_days.device_id = marked.device_id
                and telling_days.day > marked.previous_day
                and telling_days.day < marked.day
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
        not exists (
            select 1
            from telling_days
            where
                telling_days.device_id = grouped.device_id
                and telling_days.day > grouped.last_day
        ) as is_open
    from grouped
    cross join lateral (
        select
            {{ exact_sum('coalesce(days.distance_odometer_km, days.distance_gps_km)') }} as distance_since_km
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
