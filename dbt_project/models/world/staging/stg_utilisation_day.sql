with source as (
    select * from {{ source('staging', 'utilisation_day') }}
),

renamed as (
    select
        region,
        day,
        device_type,
        status,
        cohort,
        devices,
        records,
        engine_h,
        moving_h,
        distance_km,
        loaded_at as released_at
    from source
)

select * from renamed
