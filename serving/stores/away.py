"""Turns the outage of a store into a problem that names it; every other error is left as it is."""

from collections.abc import Iterator
from contextlib import contextmanager

from contracts.errors import StoreUnavailable
from contracts.outages import store_of
from serving.problems import Problem, StoreAway

RETRY_S = 5.0


@contextmanager
def naming_the_store(default: str | None = None) -> Iterator[None]:
    """Raises StoreAway. default: the store that was asked, where the error itself does not say."""
    try:
        yield
    except Problem:
        raise
    except StoreUnavailable as error:
        raise StoreAway(str(error), retry_after_s=RETRY_S) from error
    except Exception as error:
        store = store_of(error) or (default if isinstance(error, TimeoutError) else None)
        if store is None:
            raise
        raise away(store) from error


def away(store: str) -> StoreAway:
    """The problem of a store that does not answer."""
    return StoreAway(f"{store} does not answer; the rest of the service works. Ask again", retry_after_s=RETRY_S)
