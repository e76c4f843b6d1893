with episodes as (
    select * from {{ ref('stg_episode') }}
    where
        kind in ('refuel', 'fuel_drop')
        and {{ in_window('day') }}
),

final as (
    select
        episode_id as fuel_event_id,
        device_id,
        day,
        kind,
        start_ts,
        end_ts,
        lat_deg,
        lon_deg,
        value as change_pct,
        {{ is_final('day') }} as is_final,
        {{ refreshed_at() }} as refreshed_at
    from episodes
)

select * from final
