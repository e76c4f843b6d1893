"""The Postgres side of the lake: loading staging, running dbt, the registry."""
