"""Turns the errors of store clients into StoreUnavailable and BadSettings, which name the store."""

from collections.abc import Iterator
from contextlib import contextmanager

from contracts.errors import BadSettings, FleetlakeError, StoreUnavailable
from contracts.outages import store_of

_DENIED = "ACCESS_DENIED"


@contextmanager
def naming_the_store(region: str) -> Iterator[None]:
    """Raises StoreUnavailable, which names the store, for the outage of any of the region's stores.

    An access denied by S3 is BadSettings; the error of an object that cannot be decoded is left as it is.
    """
    try:
        yield
    except FleetlakeError:
        raise
    except Exception as error:
        if (store := store_of(error)) is not None:
            raise StoreUnavailable(f"{store} of region {region} does not answer") from error
        if isinstance(error, OSError) and _DENIED in str(error):
            raise BadSettings(f"S3 denies region {region} what it asked for; check its keys and policy") from error
        raise
