with trips as (
    select * from {{ ref('stg_trip') }}
    where {{ in_window('day') }}
),

periods as (
    select * from {{ ref('int_device_period') }}
),

final as (
    select
        trips.trip_id,
        trips.device_id,
        trips.day,
        {{ fleet_of('periods') }} as fleet_id,
        {{ type_of('periods') }} as device_type,
        trips.start_ts,
        trips.end_ts,
        trips.start_lat_deg,
        trips.start_lon_deg,
        trips.end_lat_deg,
        trips.end_lon_deg,
        trips.distance_km,
        trips.moving_s,
        trips.idle_s,
        trips.max_speed_kmh,
        trips.fuel_l,
        trips.records,
        {{ is_final('trips.day') }} as is_final,
        {{ refreshed_at() }} as refreshed_at
    from trips
    {{ with_period('trips', 'periods') }}
)

select * from final
