-- The first period reaches back to whatever the device sent before it was registered.
with periods as (
    select * from {{ ref('stg_device_period') }}
),

fleets as (
    select * from {{ ref('stg_fleet') }}
),

reaching as (
    select
        periods.*,
        fleets.fleet_name,
        case
            when lag(periods.valid_from) over (partition by periods.device_id order by periods.valid_from) is null
                then timestamptz '-infinity'
            else periods.valid_from
        end as applies_from,
        coalesce(periods.valid_to, timestamptz 'infinity') as applies_to
    from periods
    inner join fleets on periods.fleet_id = fleets.fleet_id
)

select * from reaching
