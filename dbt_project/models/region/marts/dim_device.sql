with devices as (
    select * from {{ ref('int_device') }}
),

final as (
    select
        device_id,
        valid_from,
        valid_to,
        valid_to is null as is_current,
        fleet_id,
        fleet_name,
        make,
        model,
        device_type,
        fuel,
        is_registered,
        is_registered as is_final,
        {{ refreshed_at() }} as refreshed_at
    from devices
)

select * from final
