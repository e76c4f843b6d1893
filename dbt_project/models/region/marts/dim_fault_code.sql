-- SAE J2012 names a code's system by its letter and who defines it by the first digit; SAE J1939-73 numbers the ways in
-- which a parameter fails (FMI). What the code means within its system, its maker or SAE says for money.
with codes as (
    select distinct code from {{ ref('fault_episode') }}
),

parsed as (
    select
        code,
        code ~ '^[PCBU][0-3][0-9A-F]{3}$' as is_dtc,
        substring(code from '^SPN ([0-9]+) FMI [0-9]+$')::integer as spn,
        substring(code from '^SPN [0-9]+ FMI ([0-9]+)$')::integer as fmi
    from codes
),

failure_modes as (
    select * from {{ ref('int_fault_failure_mode') }}
),

final as (
    select
        parsed.code,
        case when parsed.is_dtc then 'SAE J2012' when parsed.spn is not null then 'SAE J1939' else 'other' end
            as standard,
        case
            when parsed.is_dtc
                then
                    case left(parsed.code, 1)
                        when 'P' then 'powertrain' when 'C' then 'chassis' when 'B' then 'body' when 'U' then 'network'
                    end
        end as system,
        case
            when parsed.is_dtc
                then
                    substring(parsed.code from 2 for 1) = '1'
                    or (left(parsed.code, 1) <> 'P' and substring(parsed.code from 2 for 1) = '2')
        end as is_makers_own,
        parsed.spn,
        parsed.fmi,
        failure_modes.failure_mode,
        true as is_final,
        {{ refreshed_at() }} as refreshed_at
    from parsed
    left join failure_modes on parsed.fmi = failure_modes.fmi
)

select * from final
