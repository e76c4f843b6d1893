with source as (
    select * from {{ source('registry', 'service_plan') }}
),

renamed as (
    select
        plan_id,
        task,
        fleet_id,
        make,
        model,
        every_km,
        every_engine_h,
        every_days
    from source
)

select * from renamed
