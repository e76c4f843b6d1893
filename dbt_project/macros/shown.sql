{# Whether the device's processing is not restricted: its rows stay in staging, and no mart has them. #}
{% macro shown(column) -%}
    {{ column }} not in (select restricted.device_id from {{ source('registry', 'restriction') }} as restricted)
{%- endmacro %}
