with source as (
    select * from {{ source('staging', 'trip') }}
    where {{ shown('device_id') }}
),

renamed as (
    select
        trip_id,
        device_id,
        day,
        start_ts,
        end_ts,
        {{ place_unless_private('source', 'start_lat') }} as start_lat_deg,
        {{ place_unless_private('source', 'start_lon') }} as start_lon_deg,
        {{ place_unless_private('source', 'end_lat') }} as end_lat_deg,
        {{ place_unless_private('source', 'end_lon') }} as end_lon_deg,
        distance_km,
        moving_s,
        idle_s,
        max_speed_kmh,
        fuel_l,
        records
    from source
)

select * from renamed
