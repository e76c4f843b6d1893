"""ministack, made to keep what it accepted through a crash, and to limit GetRecords as AWS does."""
