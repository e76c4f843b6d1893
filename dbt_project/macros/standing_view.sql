{#
    A view that stands while its SQL is the same; its comment is the SQL's hash. dbt's own `view` renames and drops on
    every run, which fails other runs that are under way: two windows may be built at once. Runs take turns, and what
    stands is asked of the database, as dbt's cache is from the run's start.
#}
{% materialization standing_view, adapter='postgres' %}
    {%- set target_relation = this.incorporate(type='view') -%}
    {%- set stamp = local_md5(sql) -%}

    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}
    {% do run_query(take_turns()) %}
    {%- set standing = run_query(
        "select obj_description(to_regclass('" ~ target_relation.render() ~ "'), 'pg_class')"
    ).columns[0].values()[0] -%}

    {% call statement('main') %}
        {% if standing == stamp %}
            select 1
        {% else %}
            drop view if exists {{ target_relation }} cascade;
            create view {{ target_relation }} as (
                {{ sql }}
            );
            comment on view {{ target_relation }} is '{{ stamp }}'
        {% endif %}
    {% endcall %}

    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {% do adapter.commit() %}
    {{ run_hooks(post_hooks, inside_transaction=False) }}

    {{ return({'relations': [target_relation]}) }}
{% endmaterialization %}
