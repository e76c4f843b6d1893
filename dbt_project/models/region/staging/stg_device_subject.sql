with source as (
    select * from {{ source('registry', 'device_subject') }}
    where {{ shown('device_id') }}
),

renamed as (
    select
        device_id,
        subject_id,
        valid_from,
        valid_to
    from source
)

select * from renamed
