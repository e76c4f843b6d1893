with periods as (
    select * from {{ ref('int_device_period') }}
),

seen as (
    select * from {{ ref('int_device_seen') }}
),

devices as (
    select
        device_id,
        fleet_id,
        fleet_name,
        make,
        model,
        device_type,
        fuel,
        valid_from,
        valid_to,
        true as is_registered
    from periods
    union all
    select
        seen.device_id,
        {{ no_fleet() }} as fleet_id,
        'Not assigned' as fleet_name,
        null as make,
        null as model,
        'unknown' as device_type,
        null as fuel,
        seen.first_seen_ts as valid_from,
        null as valid_to,
        false as is_registered
    from seen
    -- By the index of the table itself: how many devices were seen, the planner cannot know.
    where not exists (
        select 1 from {{ ref('stg_device_period') }} as registered
        where registered.device_id = seen.device_id
    )
)

select * from devices
