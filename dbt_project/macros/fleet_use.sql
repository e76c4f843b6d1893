{# How devices were used in a day, by `grain`, with a row for those that were available and did nothing. #}
{% macro fleet_use(grain) -%}
{%- set by = grain | join(', ') -%}
with available as (
    select
        {{ by }},
        sum(devices_available)::bigint as devices_available
    from {{ ref('int_fleet_availability') }}
    where {{ in_window('day') }}
    group by {{ by }}
),

used as (
    select
        {{ by }},
        count(*) as devices_reporting,
        count(*) filter (where engine_s > 0 or moving_s > 0) as devices_active,
        {{ exact_sum('engine_s') }} as engine_s,
        {{ exact_sum('moving_s') }} as moving_s,
        {{ exact_sum('idle_s') }} as idle_s,
        {{ exact_sum('distance_gps_km') }} as distance_gps_km,
        {{ exact_sum('fuel_l') }} as fuel_l,
        sum(trips)::bigint as trips
    from {{ ref('int_fleet_device_day') }}
    where {{ in_window('day') }}
    group by {{ by }}
),

final as (
    select
        {% for column in grain -%}
        available.{{ column }},
        {% endfor -%}
        available.devices_available,
        coalesce(used.devices_reporting, 0) as devices_reporting,
        coalesce(used.devices_active, 0) as devices_active,
        coalesce(used.engine_s, 0) as utilisation_engine_s,
        available.devices_available * {{ day_length_s('available.day') }} as utilisation_available_s,
        coalesce(used.moving_s, 0) as moving_s,
        coalesce(used.idle_s, 0) as idle_s,
        coalesce(used.distance_gps_km, 0) as distance_gps_km,
        used.fuel_l,
        coalesce(used.trips, 0) as trips,
        {{ is_final('available.day') }} as is_final,
        {{ refreshed_at() }} as refreshed_at
    from available
    left join used using ({{ by }})
)

select * from final
{%- endmacro %}
