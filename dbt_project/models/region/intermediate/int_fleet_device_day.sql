with device_days as (
    select * from {{ ref('stg_device_day') }}
),

devices as (
    select * from {{ ref('int_device') }}
),

joined as (
    select
        devices.fleet_id,
        devices.valid_from,
        device_days.*
    from device_days
    inner join devices on device_days.device_id = devices.device_id
)

select * from joined
