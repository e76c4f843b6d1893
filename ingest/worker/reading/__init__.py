"""Reading a shard: where to start, how far behind it is, what cannot be decoded."""
