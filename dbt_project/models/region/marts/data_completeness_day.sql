with available as (
    select
        fleet_id,
        day,
        sum(devices_available)::bigint as devices_available
    from {{ ref('int_fleet_availability') }}
    where {{ in_window('day') }}
    group by fleet_id, day
),

received as (
    select
        fleet_id,
        day,
        count(*) as devices_received,
        sum(records)::bigint as records_received,
        sum(late_records)::bigint as records_late,
        sum(flagged_records)::bigint as records_flagged
    from {{ ref('int_fleet_device_day') }}
    where {{ in_window('day') }}
    group by fleet_id, day
),

final as (
    select
        available.fleet_id,
        available.day,
        available.devices_available as devices_expected,
        coalesce(received.devices_received, 0) as devices_received,
        coalesce(received.records_received, 0) as records_received,
        coalesce(received.records_late, 0) as records_late,
        coalesce(received.records_flagged, 0) as records_flagged,
        {{ is_final('available.day') }} as is_final,
        {{ refreshed_at() }} as refreshed_at
    from available
    left join received on available.fleet_id = received.fleet_id and available.day = received.day
)

select * from final
