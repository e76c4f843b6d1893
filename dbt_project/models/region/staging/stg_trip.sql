with source as (
    select
        trips.*,
        {{ is_private('trips') }} as is_private
    from {{ source('staging', 'trip') }} as trips
    where {{ shown('trips.device_id') }}
),

renamed as (
    select
        trip_id,
        device_id,
        day,
        start_ts,
        end_ts,
        case when not is_private then start_lat end as start_lat_deg,
        case when not is_private then start_lon end as start_lon_deg,
        case when not is_private then end_lat end as end_lat_deg,
        case when not is_private then end_lon end as end_lon_deg,
        distance_km,
        moving_s,
        idle_s,
        max_speed_kmh,
        fuel_l,
        records
    from source
)

select * from renamed
