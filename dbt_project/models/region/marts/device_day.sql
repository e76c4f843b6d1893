with device_days as (
    select * from {{ ref('int_fleet_device_day') }}
    where {{ in_window('day') }}
),

final as (
    select
        device_id,
        day,
        fleet_id,
        device_type,
        records,
        flagged_records,
        late_records,
        first_ts,
        last_ts,
        engine_s,
        moving_s,
        idle_s,
        off_s,
        unknown_s,
        distance_gps_km,
        distance_odometer_km,
        max_speed_kmh,
        fuel_l,
        trips,
        {{ is_final('day') }} as is_final,
        {{ refreshed_at() }} as refreshed_at
    from device_days
)

select * from final
