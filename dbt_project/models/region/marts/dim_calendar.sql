with bounds as (
    select
        min(day) as first_day,
        greatest(max(day), {{ today() }}) as last_day
    from {{ ref('stg_device_day') }}
),

days as (
    select generated.day::date as day
    from bounds
    cross join lateral generate_series(
        date_trunc('year', least(bounds.first_day, {{ today() }})::timestamp),
        date_trunc('year', bounds.last_day::timestamp) + interval '1 year - 1 day',
        interval '1 day'
    ) as generated (day)
),

final as (
    select
        day,
        {{ region() }} as region,
        extract(isoyear from day)::integer as iso_year,
        extract(week from day)::integer as iso_week,
        date_trunc('week', day::timestamp)::date as week_start_day,
        date_trunc('month', day::timestamp)::date as month_start_day,
        extract(isodow from day)::integer as weekday,
        extract(isodow from day) >= 6 as is_weekend,
        {{ day_starts_at('day') }} as starts_at,
        {{ day_length_s('day') }} as length_s,
        {{ is_final('day') }} as is_final,
        {{ refreshed_at() }} as refreshed_at
    from days
)

select * from final
