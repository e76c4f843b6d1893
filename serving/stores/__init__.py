"""What the service reads: Redis, Postgres, and the lake by its spot query."""
