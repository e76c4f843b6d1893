-- The first who has a device has what it sent before, too: as privacy requests go by.
with ties as (
    select * from {{ ref('stg_device_subject') }}
),

reaching as (
    select
        device_id,
        subject_id,
        case
            when valid_from = min(valid_from) over (partition by device_id) then timestamptz '-infinity'
            else valid_from
        end as applies_from,
        coalesce(valid_to, timestamptz 'infinity') as applies_to
    from ties
)

select * from reaching
