with source as (
    select * from {{ source('registry', 'work_hours') }}
),

renamed as (
    select
        fleet_id,
        weekday,
        starts as starts_local,
        ends as ends_local
    from source
)

select * from renamed
