"""Names that users, BI tools and other rooms rely on: streams, tables, buckets, keys, databases."""

from datetime import UTC, datetime

EXCHANGE_BUCKET = "exchange"
"""The bucket that aggregates cross in, unless settings name another."""
BI_READER = "bi_reader"
"""The role that may read the marts of any region; nobody logs in as it."""
CUSTOMER_READER = "customer_reader"
"""The role that may read a customer's own totals in the world, each login its own; nobody logs in as it."""
DRIVER_READER = "driver_reader"
"""The role that may read what drivers did, besides a region's own; nobody logs in as it."""
HISTORY_TABLE = "history.telemetry"
TRIP_TABLE = "history.trip"
DEVICE_DAY_TABLE = "history.device_day"
EPISODE_TABLE = "history.episode"
FAULT_DAY_TABLE = "history.fault_day"
MOTION_HOUR_TABLE = "history.motion_hour"
SEQUENCE_DIGITS = 56
"""Digits that a Kinesis sequence number is padded to where it is sorted as text."""
GZIP, ZSTD, DOCUMENTS = "gzip", "zstd", "documents"
PACKINGS = (GZIP, ZSTD, DOCUMENTS)
"""What settings may have unpacked besides KPL aggregates: see contracts.packing."""
GATEWAY_TAG = ("via", "gateway")
"""KPL tag of every user record that the gateway put on the stream."""
LAST_SEQ = "9" * SEQUENCE_DIGITS
"""Sorts after every sequence number."""
LEDGER_LOCK = "fleetlake.ledger_beginning"
"""Of Postgres' advisory locks: shared by who counts the ledger, alone with who removes its beginning."""


def stream(region: str) -> str:
    """The Kinesis stream of a region's records."""
    return f"telemetry-{region}"


def bi_reader(region: str) -> str:
    """The role by which BI tools read the marts of one region (or of `world`), and of no other."""
    return f"{BI_READER}_{region}"


def leases_table(region: str) -> str:
    """The DynamoDB table of a region's shard leases."""
    return f"leases-{region}"


def ledger_table(region: str) -> str:
    """The DynamoDB table that lists what landed."""
    return f"ledger-{region}"


EXPORTS_PREFIX = "exports/"
"""Below it in the lake's bucket: answers to data subjects, and copies of the suppression list."""
SUPPRESSION_COPIES = f"{EXPORTS_PREFIX}suppression/"


def bucket(region: str) -> str:
    """The S3 bucket of a region's lake (landing/, rejected/, warehouse/, exports/), unless settings name another."""
    return f"lake-{region}"


def exchange_prefix(region: str) -> str:
    """The only prefix of the exchange bucket that the region may write."""
    return f"region={region}/"


def fleet_database(region: str) -> str:
    """The Postgres database of a region's registry, staging, marts and ops (`world` has one too)."""
    return f"fleet_{region}"


def privacy_database(region: str) -> str:
    """The Postgres database of a region's requests, suppression list and evidence."""
    return f"privacy_{region}"


def arrival_hour(key_time: datetime) -> datetime:
    """The UTC hour that a time falls into."""
    return key_time.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def landing_key(hour: datetime, shard_id: str, first_seq: str, last_seq: str, fence: int) -> str:
    """Object key of landed records of one shard and arrival hour (UTC)."""
    return f"landing/telemetry/{_dated(hour)}/{shard_id}-{first_seq}-{last_seq}-{fence}.parquet"


def rejected_key(reason: str, hour: datetime, shard_id: str, first_seq: str, last_seq: str, fence: int) -> str:
    """Object key of rejected records of one reason, shard and arrival hour (UTC)."""
    return f"rejected/telemetry/reason={reason}/{_dated(hour)}/{shard_id}-{first_seq}-{last_seq}-{fence}.parquet"


def rewritten_key(key: str) -> str:
    """Key of the object that takes the place of a landed or rejected one from which records were erased.

    Its first sequence number ends with `eN`, N how often it was rewritten: the same shard, range and fence, and another
    name, so that no reader takes it for the object that it knows. The janitor passes such objects over: they are put
    before the ledger lists them, under a fence that may be over.
    """
    folder, slash, name = key.rpartition("/")
    shard, first, *rest = name.rsplit("-", 3)
    number, _, times = first.partition("e")
    return f"{folder}{slash}{'-'.join([shard, f'{number}e{int(times or 0) + 1}', *rest])}"


def original_keys(key: str) -> list[str]:
    """Keys of the objects that a rewritten one took the place of, the first one last; none for any other key."""
    folder, slash, name = key.rpartition("/")
    shard, first, *rest = name.rsplit("-", 3)
    number, _, times = first.partition("e")
    earlier = [f"{number}e{again}" if again else number for again in reversed(range(int(times or 0)))]
    return [f"{folder}{slash}{'-'.join([shard, one, *rest])}" for one in earlier]


def reason_of_key(key: str) -> str:
    """The reason in the key of a rejected object."""
    return key.partition("/reason=")[2].partition("/")[0]


def replayed_prefix(rejected_object: str) -> str:
    """Prefix of the marks that say which records of that rejected object (its key) were put back on the stream."""
    return f"replayed/{rejected_object.removeprefix('rejected/').removesuffix('.parquet')}/"


def redis_latest(region: str, device_id: str) -> str:
    """JSON of the device's newest record."""
    return f"{region}:latest:{device_id}"


def redis_trail(region: str, device_id: str) -> str:
    """Sorted set by event time (ms) of the device's newest points, as JSON."""
    return f"{region}:trail:{device_id}"


def redis_geo(region: str) -> str:
    """GEO set of the devices' newest good positions."""
    return f"{region}:geo"


def redis_seen(region: str) -> str:
    """Sorted set of devices by their last arrival time (ms)."""
    return f"{region}:seen"


def redis_epoch(region: str) -> str:
    """Set once live state is complete; missing means that it must be rebuilt."""
    return f"{region}:epoch"


def redis_rebuilds(region: str) -> str:
    """Hash of the rebuilds of live state that go on; one that misses at its end means that something was lost."""
    return f"{region}:rebuilds"


def redis_writes(region: str, writer: str) -> str:
    """Counts one writer's commands; less than that writer was told means that a crashed server lost some."""
    return f"{region}:writes:{writer}"


def redis_changed(region: str) -> str:
    """Stream of the devices whose live state changed, an entry a write; capped, so readers may find a gap."""
    return f"{region}:changed"


def redis_denied(region: str) -> str:
    """Sorted set of tokens of the read API that were revoked, by the time (s) at which they end anyway."""
    return f"{region}:denied"


def redis_access_channel(region: str) -> str:
    """Channel on which the gateway's processes hear of revoked devices and of sessions taken over."""
    return f"{region}:gateway"


def redis_access_device(region: str, device_id: str) -> str:
    """What the registry said of a device's access, for the gateway's processes while Postgres is away."""
    return f"{region}:gateway:device:{device_id}"


def redis_access_cas(region: str) -> str:
    """The fleet CAs, for the same."""
    return f"{region}:gateway:cas"


def padded_sequence(sequence_number: str) -> str:
    """A sequence number that sorts as text the way it does as an integer."""
    return sequence_number.zfill(SEQUENCE_DIGITS)


def _dated(hour: datetime) -> str:
    utc = hour.astimezone(UTC)
    return f"dt={utc:%Y-%m-%d}/hour={utc:%H}"
