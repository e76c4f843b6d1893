with cells as (
    select * from {{ ref('stg_utilisation_day') }}
    where {{ in_window('day') }}
),

final as (
    select
        region,
        day,
        device_type,
        status,
        cohort,
        devices,
        records,
        engine_h,
        moving_h,
        distance_km,
        released_at,
        true as is_final,
        {{ refreshed_at() }} as refreshed_at
    from cells
)

select * from final
