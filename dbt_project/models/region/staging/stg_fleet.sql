with source as (
    select * from {{ source('registry', 'fleet') }}
),

renamed as (
    select
        fleet_id,
        name as fleet_name
    from source
)

select * from renamed
