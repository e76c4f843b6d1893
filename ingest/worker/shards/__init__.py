"""Which worker reads which shard: discovery, balance, leases held, one task a shard."""
