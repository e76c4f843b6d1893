-- A device is available from its registration on, and on a day that it reported whatever the registry says. One that
-- is not registered counts on no other day, so that a day depends on its own device days and the registry alone.
with days as (
    select distinct day from {{ ref('stg_device_day') }}
),

devices as (
    select * from {{ ref('stg_device') }}
),

available as (
    select
        days.day,
        devices.fleet_id,
        devices.device_id
    from days
    inner join devices on devices.valid_from < {{ day_starts_at('days.day + 1') }}
    union
    select
        day,
        fleet_id,
        device_id
    from {{ ref('int_fleet_device_day') }}
),

counted as (
    select
        day,
        fleet_id,
        count(*) as devices_available
    from available
    group by day, fleet_id
)

select * from counted
