with source as (
    select * from {{ source('staging', 'fault_day') }}
    where {{ shown('device_id') }}
),

renamed as (
    select
        device_id,
        day,
        code,
        first_ts,
        last_ts,
        records
    from source
)

select * from renamed
