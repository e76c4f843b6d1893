"""From the stream to Redis and to landing: the consumer."""
