"""The garbage collector held back while a batch is decoded."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collector_paused() -> Iterator[None]:
    """No collection of reference cycles inside; as it was afterwards.

    A batch makes a dictionary a map and record, which the collector would walk again and again, a good part of the time
    of decoding; they hold no cycles and go by their reference counts when the batch is done.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
