"""Landing a shard: buffering, flushing, committing, quarantine, and the objects that nobody counts."""
