with source as (
    select * from {{ source('registry', 'device') }}
),

renamed as (
    select
        device_id,
        fleet_id,
        make,
        model,
        type as device_type,
        fuel,
        valid_from
    from source
)

select * from renamed
