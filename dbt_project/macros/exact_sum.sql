{# The same sum in whatever order rows come: floating point would make an incremental build differ in the last digit. #}
{% macro exact_sum(column) -%}
    sum({{ column }}::numeric)::double precision
{%- endmacro %}
