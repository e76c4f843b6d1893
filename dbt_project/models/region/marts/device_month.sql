-- By fleet and type: what a device did for the fleet that it left stays that fleet's, and its months add up to those of
-- utilisation_month.
with days as (
    select
        *,
        coalesce(fleet_id, {{ no_fleet() }}) as of_fleet_id,
        coalesce(device_type, 'unknown') as of_device_type,
        date_trunc('month', day::timestamp)::date as month_start_day
    from {{ ref('device_day') }}
    where {{ in_days_of_months('day') }}
),

final as (
    select
        device_id,
        of_fleet_id as fleet_id,
        of_device_type as device_type,
        month_start_day,
        count(*) as days_reported,
        count(*) filter (where engine_s > 0 or moving_s > 0) as days_active,
        sum(records)::bigint as records,
        sum(flagged_records)::bigint as flagged_records,
        sum(late_records)::bigint as late_records,
        min(first_ts) as first_ts,
        max(last_ts) as last_ts,
        {{ exact_sum('engine_s') }} as engine_s,
        {{ exact_sum('moving_s') }} as moving_s,
        {{ exact_sum('idle_s') }} as idle_s,
        {{ exact_sum('off_s') }} as off_s,
        {{ exact_sum('unknown_s') }} as unknown_s,
        {{ exact_sum('distance_gps_km') }} as distance_gps_km,
        {{ exact_sum('distance_odometer_km') }} as distance_odometer_km,
        {{ exact_sum('coalesce(distance_odometer_km, distance_gps_km)') }} as distance_best_km,
        max(max_speed_kmh) as max_speed_kmh,
        {{ exact_sum('fuel_l') }} as fuel_l,
        sum(trips)::bigint as trips,
        bool_and(is_final) and {{ is_final("(month_start_day + interval '1 month - 1 day')::date") }} as is_final,
        {{ refreshed_at() }} as refreshed_at
    from days
    group by device_id, of_fleet_id, of_device_type, month_start_day
)

select * from final
