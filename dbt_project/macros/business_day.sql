{% macro region() -%}
    '{{ env_var("FLEETLAKE_REGION") }}'
{%- endmacro %}

{# When the business day starts, in the region's time zone. #}
{% macro day_starts_at(day) -%}
    (({{ day }})::timestamp at time zone '{{ env_var("FLEETLAKE_TIME_ZONE") }}')
{%- endmacro %}

{# A business day's length: 23 or 25 hours where the clocks change. #}
{% macro day_length_s(day) -%}
    extract(epoch from {{ day_starts_at(day ~ ' + 1') }} - {{ day_starts_at(day) }})::double precision
{%- endmacro %}

{% macro refreshed_at() -%}
    now()
{%- endmacro %}

{# No late data is expected any more: the day ended as many days ago as a release waits. #}
{% macro is_final(day) -%}
    ({{ day_starts_at(day ~ ' + 1 + ' ~ env_var("FLEETLAKE_RELEASE_DELAY_DAYS", "3")) }} <= {{ refreshed_at() }})
{%- endmacro %}

{# The business day that it is now. #}
{% macro today() -%}
    ({{ refreshed_at() }} at time zone '{{ env_var("FLEETLAKE_TIME_ZONE") }}')::date
{%- endmacro %}
