with source as (
    select * from {{ source('registry', 'service_done') }}
    where {{ shown('device_id') }}
),

renamed as (
    select
        device_id,
        plan_id,
        done_on
    from source
)

select * from renamed
