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

{# The months of this run's days, by their first days. #}
{% macro in_months(column) -%}
    {%- if has_window() -%}
    {%- set months = [] -%}
    {%- for day in var("days") -%}{%- do months.append(day[:8] ~ '01') -%}{%- endfor -%}
    {{ column }} = any('{ {{- months | unique | join(",") -}} }'::date[])
    {%- else -%}
    true
    {%- endif -%}
{%- endmacro %}

{# The days of those months, by ranges that an index on the column serves. #}
{% macro in_days_of_months(column='day') -%}
    {%- if has_window() -%}
    {%- set ranges = [] -%}
    {%- for day in var("days") -%}
        {%- set first = "date '" ~ day[:8] ~ "01'" -%}
        {%- do ranges.append(column ~ " >= " ~ first ~ " and " ~ column ~ " < (" ~ first ~ " + interval '1 month')::date") -%}
    {%- endfor -%}
    ({{ ranges | unique | join(" or ") or "false" }})
    {%- else -%}
    true
    {%- endif -%}
{%- endmacro %}

{#
    Replace the run's days in the target by what the model selects: a day that became empty is emptied, which
    delete+insert and microbatch do not do. A model with `month_column` in its meta replaces the months of those days, one
    without either is replaced as a whole.
    Two runs at once take turns (the hook `take_turns`), so the second finds the first one's rows and deletes them.
#}
{% macro get_incremental_delete_window_insert_sql(arg_dict) %}
    {%- set columns = get_quoted_csv(arg_dict["dest_columns"] | map(attribute="name")) -%}
    {%- set meta = config.get('meta', {}) %}
    delete from {{ arg_dict["target_relation"] }}
    where {{ replaced(meta) }};
    insert into {{ arg_dict["target_relation"] }} ({{ columns }})
    select {{ columns }} from {{ arg_dict["temp_relation"] }}
{% endmacro %}

{% macro replaced(meta) -%}
    {%- if meta.get('day_column') -%}
    {{ in_window(meta['day_column']) }}
    {%- elif meta.get('month_column') -%}
    {{ in_months(meta['month_column']) }}
    {%- else -%}
    true
    {%- endif -%}
{%- endmacro %}

{% macro take_turns() -%}
    select pg_advisory_xact_lock(hashtextextended('{{ this.schema }}.{{ this.identifier }}', 0))
{%- endmacro %}

{#
    Data tests look at the days of this run: the others were tested when they were built. Dimensions, episodes,
    months and what is due have no day.
#}
{% macro get_where_subquery(relation) -%}
    {%- set where = config.get('where', '') -%}
    {%- if where == '__window__' -%}
        {%- set dated = not (relation.identifier.startswith('dim_') or relation.identifier.endswith('_episode') or relation.identifier.endswith('_month') or relation.identifier.endswith('_due')) -%}
        {%- set where = in_window() if has_window() and dated else '' -%}
    {%- endif -%}
    {%- if where -%}
        (select * from {{ relation }} where {{ where }}) dbt_subquery
    {%- else -%}
        {{ relation }}
    {%- endif -%}
{%- endmacro %}
