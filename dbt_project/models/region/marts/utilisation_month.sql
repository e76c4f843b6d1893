with days as (
    select
        *,
        date_trunc('month', day::timestamp)::date as month_start_day
    from {{ ref('fleet_type_day') }}
    where {{ in_months("date_trunc('month', day::timestamp)::date") }}
),

final as (
    select
        fleet_id,
        device_type,
        month_start_day,
        count(*) as days,
        max(devices_available) as devices_available_most,
        sum(devices_active)::bigint as device_days_active,
        sum(devices_available)::bigint as device_days_available,
        {{ exact_sum('utilisation_engine_s') }} as utilisation_engine_s,
        {{ exact_sum('utilisation_available_s') }} as utilisation_available_s,
        {{ exact_sum('moving_s') }} as moving_s,
        {{ exact_sum('idle_s') }} as idle_s,
        {{ exact_sum('distance_gps_km') }} as distance_gps_km,
        {{ exact_sum('fuel_l') }} as fuel_l,
        sum(trips)::bigint as trips,
        bool_and(is_final) and {{ is_final("(month_start_day + interval '1 month - 1 day')::date") }} as is_final,
        {{ refreshed_at() }} as refreshed_at
    from days
    group by fleet_id, device_type, month_start_day
)

select * from final
