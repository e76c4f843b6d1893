"""What every part of the consumer runs on: clock, threads, retries, metrics, signed requests, allocator."""
