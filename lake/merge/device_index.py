"""Which devices the rows of a waiting landing object may be of, so that a spot query opens no other object.

The index of an object is a Bloom filter over device ids, kept in Postgres: of all its rows while none of them are
merged, and of its stragglers while only they wait. It names no device; one can be asked whether a device that is known
may be in it. The lake makes it as it takes objects in, so that the consumer does not pay for it. (B. H. Bloom,
Space/Time Trade-offs in Hash Coding with Allowable Errors, CACM 13(7), 1970.)
"""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import lru_cache, partial
from hashlib import blake2b
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import structlog
from pyarrow import fs

from contracts.settings import LakeSettings
from lake.database import transaction
from lake.merge.spans import hour_of_key, on_time_span

log = structlog.get_logger()
BITS_A_DEVICE = 16
HASHES = 4
"""With 16 bits a device and 4 hashes one object in 400 is opened in vain."""
_LEAST_BYTES, _MOST_BYTES = 8, 16 * 1024
_AT_ONCE = 16
_MOST_OBJECTS = 2_000
GROWING = timedelta(hours=2)
"""An arrival hour that began longer ago is merged at once: an index of its objects would not be asked."""

_UNINDEXED = """
    select key from ops.landing_object o
    where ((stragglers > 0 and stragglers_merged is null and straggler_devices is null)
           or (on_time_merged is null and devices is null and hour > now() - %s))
      and not exists (select from ops.set_aside s where s.key = o.key)
    order by hour desc, key limit %s
"""


class DeviceFilters(NamedTuple):
    """The filters of one object."""

    all: bytes
    stragglers: bytes


def index_devices(settings: LakeSettings) -> int:
    """Index the landing objects that wait and are not indexed; how many were. An object that cannot be read stays
    without an index: the merge says what is wrong with it.
    """
    with transaction(settings) as connection:
        keys = [key for (key,) in connection.execute(_UNINDEXED, [GROWING, _MOST_OBJECTS])]
    if not keys:
        return 0
    store = fs.S3FileSystem(**settings.s3.filesystem_kwargs(settings.row.aws_region))
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        filters = dict(zip(keys, pool.map(partial(_filters_of, store, settings.bucket), keys), strict=True))
    made = [(found.all, found.stragglers, key) for key, found in filters.items() if found]
    with transaction(settings) as connection, connection.cursor() as cursor:
        cursor.executemany("update ops.landing_object set devices = %s, straggler_devices = %s where key = %s", made)
    return len(made)


def device_filter(devices: Iterable[str]) -> bytes:
    """The Bloom filter over these device ids: 8 bytes to 16 KiB."""
    named = set(devices)
    wanted = len(named) * BITS_A_DEVICE // 8
    size = min(max(_LEAST_BYTES, 1 << (max(wanted, 1) - 1).bit_length()), _MOST_BYTES)
    bits = bytearray(size)
    for device in named:
        for place in device_hashes(device):
            at = place % (8 * size)
            bits[at // 8] |= 1 << (at % 8)
    return bytes(bits)


@lru_cache(maxsize=4_096)
def device_hashes(device_id: str) -> tuple[int, ...]:
    """The device's places, each to be taken modulo a filter's bits."""
    digest = blake2b(device_id.encode(), digest_size=4 * HASHES, person=b"fleetlake.trail").digest()
    return tuple(int.from_bytes(digest[n : n + 4], "little") & 0x7FFFFFFF for n in range(0, 4 * HASHES, 4))


def may_hold(bits: bytes, device_id: str) -> bool:
    """Whether the filter may have been made over this device: never no where it was."""
    return all(bits[at // 8] >> (at % 8) & 1 for at in (place % (8 * len(bits)) for place in device_hashes(device_id)))


def devices_in(bits: bytes, devices: Sequence[str]) -> tuple[str, ...]:
    """Those of the devices that the filter may have been made over."""
    return tuple(device for device in devices if may_hold(bits, device))


def _filters_of(store: fs.FileSystem, bucket: str, key: str) -> DeviceFilters | None:
    span = on_time_span(hour_of_key(key))
    try:
        with store.open_input_file(f"{bucket}/{key}") as source:
            rows = pq.read_table(source, columns=["device_id", "ts"], use_threads=False)
    except (OSError, pa.ArrowException) as error:
        log.warning("landing object not indexed", key=key, error=type(error).__name__)
        return None
    ts, devices = rows["ts"], rows["device_id"]
    late = pc.or_(pc.less(ts, pa.scalar(span.start, ts.type)), pc.greater_equal(ts, pa.scalar(span.end, ts.type)))
    every, stragglers = pc.unique(devices), pc.unique(devices.filter(late))
    return DeviceFilters(device_filter(every.to_pylist()), device_filter(stragglers.to_pylist()))
