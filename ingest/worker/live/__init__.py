"""Live state of a shard: writing, catching up from landing, rebuilding."""
