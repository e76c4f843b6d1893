{# The region's clock: a time without a zone. #}
{% macro local_time(ts) -%}
    ({{ ts }} at time zone '{{ env_var("FLEETLAKE_TIME_ZONE") }}')
{%- endmacro %}

{#
    Whether the row's time touches one in which whoever has the device drives for themselves. Few devices have any: the
    first condition is a look into a hash.
#}
{% macro is_private(rows) -%}
    (
        {{ rows }}.device_id in (select private.device_id from {{ source('registry', 'private_time') }} as private)
        and exists (
            select 1 from {{ source('registry', 'private_time') }} as private
            where
                private.device_id = {{ rows }}.device_id
                and private.starts_at < {{ rows }}.end_ts
                and private.ends_at > {{ rows }}.start_ts
        )
    )
{%- endmacro %}

{# What people did: the region's own role reads it, and those entered for driver_reader where there is that role. #}
{% macro only_for_driver_readers() -%}
    do $rights$
    begin
        revoke all on {{ this }} from bi_reader;
        if exists (select from pg_roles where rolname = 'driver_reader') then
            grant select on {{ this }} to driver_reader;
        end if;
    end
    $rights$
{%- endmacro %}
