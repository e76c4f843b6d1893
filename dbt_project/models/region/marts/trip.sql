with trips as (
    select * from {{ ref('stg_trip') }}
    where {{ in_window('day') }}
),

final as (
    select
        trip_id,
        device_id,
        day,
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
        {{ is_final('day') }} as is_final,
        {{ refreshed_at() }} as refreshed_at
    from trips
)

select * from final
