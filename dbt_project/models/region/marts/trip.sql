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
        start_ts,
        end_ts,
        start_lat_deg,
        start_lon_deg,
        end_lat_deg,
        end_lon_deg,
        distance_km,
        moving_s,
        idle_s,
        max_speed_kmh,
        fuel_l,
        records,
        {{ is_final('trips.day') }} as is_final,
        {{ refreshed_at() }} as refreshed_at
    from trips
    {{ with_period('trips', 'periods') }}
)

select * from final
