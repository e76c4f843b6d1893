with source as (
    select
        episodes.*,
        {{ is_private('episodes') }} as is_private
    from {{ source('staging', 'episode') }} as episodes
    where {{ shown('episodes.device_id') }}
),

renamed as (
    select
        episode_id,
        device_id,
        day,
        kind,
        start_ts,
        end_ts,
        ended as is_ended,
        case when not is_private then lat end as lat_deg,
        case when not is_private then lon end as lon_deg,
        duration_s,
        fuel_l,
        value
    from source
)

select * from renamed
