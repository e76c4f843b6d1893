with source as (
    select * from {{ source('staging', 'device_day') }}
    where {{ shown('device_id') }}
),

renamed as (
    select
        device_id,
        day,
        records,
        flagged as flagged_records,
        late as late_records,
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
        trips
    from source
)

select * from renamed
