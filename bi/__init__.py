"""The desk of a business analyst on this machine: Apache Superset with dashboards that are files, and dbt's docs."""
