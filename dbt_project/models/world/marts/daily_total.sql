with cells as (
    select * from {{ ref('stg_utilisation_day') }}
    where status = 'published' and {{ in_window('day') }}
),

kinds as (
    select
        region,
        day,
        count(*) as kinds_published
    from cells
    where device_type <> 'all'
    group by region, day
),

final as (
    select
        cells.region,
        cells.day,
        coalesce(kinds.kinds_published, 0) as kinds_published,
        cells.cohort,
        cells.devices,
        cells.records,
        cells.engine_h,
        cells.moving_h,
        cells.distance_km,
        true as is_final,
        {{ refreshed_at() }} as refreshed_at
    from cells
    left join kinds on cells.region = kinds.region and cells.day = kinds.day
    where cells.device_type = 'all'
)

select * from final
