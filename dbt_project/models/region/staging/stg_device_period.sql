with source as (
    select * from {{ source('registry', 'device_period') }}
    where {{ shown('device_id') }}
),

renamed as (
    select
        device_id,
        fleet_id,
        make,
        model,
        type as device_type,
        fuel,
        valid_from,
        valid_to
    from source
)

select * from renamed
