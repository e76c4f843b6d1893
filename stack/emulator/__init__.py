"""ministack, made to survive a crash, to limit GetRecords as AWS does, and to stay quick when a stream is long."""
