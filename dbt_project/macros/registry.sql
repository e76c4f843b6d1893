{# The fleet of devices that nobody registered. #}
{% macro no_fleet() -%}
    'unassigned'
{%- endmacro %}

{# Joins the period of `devices` that holds the end of the row's business day: a move counts from its own day on. #}
{% macro with_period(rows, devices) -%}
    left join {{ devices }}
        on
            {{ rows }}.device_id = {{ devices }}.device_id
            and {{ devices }}.applies_from < {{ day_starts_at(rows ~ '.day + 1') }}
            and {{ devices }}.applies_to >= {{ day_starts_at(rows ~ '.day + 1') }}
{%- endmacro %}

{% macro fleet_of(devices) -%}
    coalesce({{ devices }}.fleet_id, {{ no_fleet() }})
{%- endmacro %}

{% macro type_of(devices) -%}
    coalesce({{ devices }}.device_type, 'unknown')
{%- endmacro %}
