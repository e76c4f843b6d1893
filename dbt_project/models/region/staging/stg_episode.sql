with source as (
    select * from {{ source('staging', 'episode') }}
    where {{ shown('device_id') }}
),

renamed as (
    select
        episode_id,
        device_id,
        day,
        kind,
        start_ts,
        end_ts,
        ended as is_ended,
        {{ place_unless_private('source', 'lat') }} as lat_deg,
        {{ place_unless_private('source', 'lon') }} as lon_deg,
        duration_s,
        fuel_l,
        value
    from source
)

select * from renamed
