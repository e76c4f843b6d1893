{# Seconds of one day: not negative, and at most 25 h, the longest business day. #}
{% test within_a_day(model, column_name) %}
select {{ column_name }} from {{ model }}
where {{ column_name }} not between 0 and 90000.001
{% endtest %}
