{# The business days of this run: those of var days, a list; every day without it. #}
{% macro has_window() -%}
    {{ return(var('days', none) is not none) }}
{%- endmacro %}

{% macro in_window(column='day') -%}
    {%- if has_window() -%}
    {{ column }} = any('{ {{- var("days") | join(",") -}} }'::date[])
    {%- else -%}
    true
    {%- endif -%}
{%- endmacro %}

{#
    Replace the run's days in the target by what the model selects: a day that became empty is emptied, which
    delete+insert and microbatch do not do. A model without `day_column` in its meta is replaced as a whole.
    Two runs at once take turns (the hook `take_turns`), so the second finds the first one's rows and deletes them.
#}
{% macro get_incremental_delete_window_insert_sql(arg_dict) %}
    {%- set columns = get_quoted_csv(arg_dict["dest_columns"] | map(attribute="name")) -%}
    {%- set day_column = config.get('meta', {}).get('day_column') %}
    delete from {{ arg_dict["target_relation"] }}
    where {{ in_window(day_column) if day_column else 'true' }};
    insert into {{ arg_dict["target_relation"] }} ({{ columns }})
    select {{ columns }} from {{ arg_dict["temp_relation"] }}
{% endmacro %}

{% macro take_turns() -%}
    select pg_advisory_xact_lock(hashtextextended('{{ this.schema }}.{{ this.identifier }}', 0))
{%- endmacro %}

{#
    Data tests look at the days of this run: the others were tested when they were built. Dimensions and episodes have
    no day.
#}
{% macro get_where_subquery(relation) -%}
    {%- set where = config.get('where', '') -%}
    {%- if where == '__window__' -%}
        {%- set dated = not (relation.identifier.startswith('dim_') or relation.identifier.endswith('_episode')) -%}
        {%- set where = in_window() if has_window() and dated else '' -%}
    {%- endif -%}
    {%- if where -%}
        (select * from {{ relation }} where {{ where }}) dbt_subquery
    {%- else -%}
        {{ relation }}
    {%- endif -%}
{%- endmacro %}
