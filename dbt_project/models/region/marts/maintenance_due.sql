-- Since a service: whole months from device_month, the rest of its own month from device_day. A device without a
-- service on record counts from its first day.
with plans as (
    select * from {{ ref('stg_service_plan') }}
),

devices as (
    select
        *,
        min(valid_from) over (partition by device_id) as registered_at
    from {{ ref('int_device_period') }}
),

seen as (
    select
        device_id,
        min(first_ts) as first_ts,
        max(last_ts) as last_ts
    from {{ ref('device_month') }}
    group by device_id
),

done as (
    select
        device_id,
        plan_id,
        max(done_on) as done_on
    from {{ ref('stg_service_done') }}
    group by device_id, plan_id
),

planned as (
    select
        devices.device_id,
        devices.fleet_id,
        devices.device_type,
        plans.plan_id,
        plans.task,
        plans.every_km,
        plans.every_engine_h,
        plans.every_days,
        done.done_on,
        coalesce(done.done_on, {{ local_time('least(devices.registered_at, seen.first_ts)') }}::date) as since_day,
        {{ local_time('seen.last_ts') }}::date as last_day
    from plans
    inner join devices
        on
            devices.valid_to is null
            and coalesce(plans.fleet_id, devices.fleet_id) = devices.fleet_id
            and coalesce(plans.make, devices.make) is not distinct from devices.make
            and coalesce(plans.model, devices.model) is not distinct from devices.model
    left join seen on devices.device_id = seen.device_id
    left join done on devices.device_id = done.device_id and plans.plan_id = done.plan_id
),

used as (
    select
        planned.plan_id,
        months.device_id,
        months.distance_best_km as run_km,
        months.engine_s
    from planned
    inner join {{ ref('device_month') }} as months
        on planned.device_id = months.device_id and planned.since_day < months.month_start_day
    union all
    select
        planned.plan_id,
        days.device_id,
        coalesce(days.distance_odometer_km, days.distance_gps_km) as run_km,
        days.engine_s
    from planned
    inner join {{ ref('device_day') }} as days
        on
            planned.device_id = days.device_id
            and (planned.since_day < days.day or (planned.since_day = days.day and planned.done_on is null))
            and days.day < (date_trunc('month', planned.since_day::timestamp) + interval '1 month')::date
),

summed as (
    select
        plan_id,
        device_id,
        {{ exact_sum('run_km') }} as run_km,
        {{ exact_sum('engine_s') }} / 3600 as run_engine_h
    from used
    group by plan_id, device_id
),

measured as (
    select
        planned.*,
        coalesce(summed.run_km, 0) as run_km,
        coalesce(summed.run_engine_h, 0) as run_engine_h,
        {{ today() }} - planned.since_day as run_days
    from planned
    left join summed on planned.device_id = summed.device_id and planned.plan_id = summed.plan_id
),

final as (
    select
        device_id,
        plan_id,
        fleet_id,
        device_type,
        task,
        done_on,
        since_day,
        last_day,
        every_km,
        run_km,
        every_km - run_km as left_km,
        every_engine_h,
        run_engine_h,
        every_engine_h - run_engine_h as left_engine_h,
        every_days,
        run_days,
        every_days - run_days as left_days,
        coalesce(least(every_km - run_km, every_engine_h - run_engine_h, every_days - run_days) <= 0, false) as is_due,
        false as is_final,
        {{ refreshed_at() }} as refreshed_at
    from measured
)

select * from final
