{# No value exceeds the row's `other` column. #}
{% test at_most(model, column_name, other) %}
select {{ column_name }}, {{ other }} from {{ model }}
where {{ column_name }} > {{ other }}
{% endtest %}
