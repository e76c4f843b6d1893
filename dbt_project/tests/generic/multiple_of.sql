{% test multiple_of(model, column_name, step) %}
select {{ column_name }} from {{ model }} where {{ column_name }} % {{ step }} <> 0
{% endtest %}
