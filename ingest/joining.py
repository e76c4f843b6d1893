"""Small batches, put together as they come: each costs memory far beyond its values."""

BATCH_OVERHEAD_BYTES = 32 * 1024
"""What a batch costs beyond its values: blocks of memory for some sixty arrays of two dozen columns, and their objects.
For one row some 27 KB were measured, of 271 bytes of values."""
_MOST_JOINED_ROWS = 1_000


def worth_joining(rows_before: int, rows_last: int) -> bool:
    """Whether the last batch is to be put together with the one before it; asked again after each time.

    Only of about one size, so n rows that come one by one leave log n batches and are copied log n times; and only
    small ones, so what a busy shard reads is never copied.
    """
    return rows_before + rows_last <= _MOST_JOINED_ROWS and rows_before <= 2 * max(rows_last, 1)
