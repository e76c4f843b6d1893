with fleets as (
    select
        fleet_id,
        fleet_name
    from {{ ref('stg_fleet') }}
    union all
    select
        {{ no_fleet() }} as fleet_id,
        'Not assigned' as fleet_name
    where not exists (
        select 1 from {{ ref('stg_fleet') }}
        where fleet_id = {{ no_fleet() }}
    )
),

devices as (
    select
        fleet_id,
        count(*) as devices
    from {{ ref('int_device') }}
    where valid_to is null
    group by fleet_id
),

final as (
    select
        fleets.fleet_id,
        fleets.fleet_name,
        coalesce(devices.devices, 0) as devices,
        fleets.fleet_id <> {{ no_fleet() }} as is_registered,
        false as is_final,
        {{ refreshed_at() }} as refreshed_at
    from fleets
    left join devices on fleets.fleet_id = devices.fleet_id
)

select * from final
