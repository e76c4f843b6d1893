with registered as (
    select * from {{ ref('stg_device') }}
),

fleets as (
    select * from {{ ref('stg_fleet') }}
),

seen as (
    select * from {{ ref('int_device_seen') }}
),

devices as (
    select
        registered.device_id,
        registered.fleet_id,
        fleets.fleet_name,
        registered.make,
        registered.model,
        registered.device_type,
        registered.fuel,
        registered.valid_from,
        true as is_registered
    from registered
    inner join fleets on registered.fleet_id = fleets.fleet_id
    union all
    select
        seen.device_id,
        'unregistered' as fleet_id,
        'Not registered' as fleet_name,
        null as make,
        null as model,
        'unknown' as device_type,
        null as fuel,
        seen.first_seen_ts as valid_from,
        false as is_registered
    from seen
    left join registered on seen.device_id = registered.device_id
    where registered.device_id is null
)

select * from devices
