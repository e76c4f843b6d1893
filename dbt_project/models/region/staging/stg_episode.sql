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
        lat as lat_deg,
        lon as lon_deg,
        duration_s,
        fuel_l,
        value
    from source
)

select * from renamed
