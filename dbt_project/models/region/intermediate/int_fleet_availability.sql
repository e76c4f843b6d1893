-- A device is available from its registration on, and on a day that it reported whatever the registry says. One that
-- is not registered counts on no other day, so that a day depends on its own device days and the registry alone.
with days as (
    select
        day,
        {{ day_starts_at('day + 1') }} as ends_at
    from {{ ref('stg_business_day') }}
),

devices as (
    select * from {{ ref('stg_device_period') }}
),

available as (
    select
        days.day,
        devices.fleet_id,
        devices.device_type,
        devices.device_id
    from days
    inner join devices
        on
            days.ends_at > devices.valid_from
            and (devices.valid_to is null or days.ends_at <= devices.valid_to)
    union
    select
        day,
        fleet_id,
        device_type,
        device_id
    from {{ ref('int_fleet_device_day') }}
),

counted as (
    select
        day,
        fleet_id,
        device_type,
        count(*) as devices_available
    from available
    group by day, fleet_id, device_type
)

select * from counted
