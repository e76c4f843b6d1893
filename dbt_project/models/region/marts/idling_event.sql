with episodes as (
    select * from {{ ref('stg_episode') }}
    where
        kind = 'idle'
        and {{ in_window('day') }}
),

periods as (
    select * from {{ ref('int_device_period') }}
),

final as (
    select
        episodes.episode_id as idling_event_id,
        episodes.device_id,
        episodes.day,
        {{ fleet_of('periods') }} as fleet_id,
        episodes.start_ts,
        episodes.end_ts,
        episodes.is_ended,
        episodes.lat_deg,
        episodes.lon_deg,
        episodes.duration_s,
        episodes.fuel_l,
        {{ is_final('episodes.day') }} as is_final,
        {{ refreshed_at() }} as refreshed_at
    from episodes
    {{ with_period('episodes', 'periods') }}
)

select * from final
