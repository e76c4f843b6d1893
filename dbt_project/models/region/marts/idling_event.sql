with episodes as (
    select * from {{ ref('stg_episode') }}
    where
        kind = 'idle'
        and {{ in_window('day') }}
),

final as (
    select
        episode_id as idling_event_id,
        device_id,
        day,
        start_ts,
        end_ts,
        is_ended,
        lat_deg,
        lon_deg,
        duration_s,
        fuel_l,
        {{ is_final('day') }} as is_final,
        {{ refreshed_at() }} as refreshed_at
    from episodes
)

select * from final
