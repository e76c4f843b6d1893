"""What regions need within the services: streams, tables, buckets, roles and their limits. Everything may run again."""
