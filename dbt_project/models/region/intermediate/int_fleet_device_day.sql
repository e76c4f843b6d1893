with device_days as (
    select * from {{ ref('stg_device_day') }}
),

periods as (
    select * from {{ ref('int_device_period') }}
),

joined as (
    select
        {{ fleet_of('periods') }} as fleet_id,
        {{ type_of('periods') }} as device_type,
        device_days.*
    from device_days
    {{ with_period('device_days', 'periods') }}
)

select * from joined
