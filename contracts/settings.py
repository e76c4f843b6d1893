"""Settings of a process: read from the environment only, checked at start, secrets masked.

A process of a region is given FLEETLAKE_REGION and that region's endpoints and credentials, and nothing of any
other region. On AWS the endpoints and keys are left out: botocore's own chain finds them.
"""

from collections.abc import Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import quote

from pydantic import AwareDatetime, BaseModel, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict
from pydantic_settings.sources.utils import parse_env_vars

from contracts import names
from contracts.errors import BadSettings
from contracts.gateway_settings import GatewaySettings
from contracts.regions import Region, find_region, load_regions
from contracts.residency import others_secrets
from contracts.serving_settings import ServingSettings

PREFIX = "FLEETLAKE_"
_Bucket = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")]
"""A name that S3 takes."""
CATALOG_SCHEMA = "iceberg"
"""The Postgres schema in which the SQL catalog keeps its own tables."""
_environ: ContextVar[Mapping[str, str] | None] = ContextVar("environ", default=None)


class AwsService(BaseModel):
    """Where one AWS service is and who asks. All unset on AWS: botocore's defaults apply."""

    endpoint: str | None = None
    access_key: SecretStr | None = None
    secret_key: SecretStr | None = None
    session_token: SecretStr | None = None
    """Where the keys are a session's; nothing renews it."""

    @model_validator(mode="after")
    def _both_keys_or_none(self) -> Self:
        if (self.access_key is None) != (self.secret_key is None):
            raise ValueError("set both the access key and the secret key, or neither")
        if self.session_token is not None and self.access_key is None:
            raise ValueError("a session token needs its access key and secret key")
        return self

    def client_kwargs(self, aws_region: str) -> dict[str, Any]:
        """Keyword arguments for boto3's client()."""
        kwargs: dict[str, Any] = {"region_name": aws_region}
        if self.endpoint:
            kwargs["endpoint_url"] = self.endpoint
        if self.access_key and self.secret_key:
            kwargs["aws_access_key_id"] = self.access_key.get_secret_value()
            kwargs["aws_secret_access_key"] = self.secret_key.get_secret_value()
        if self.session_token:
            kwargs["aws_session_token"] = self.session_token.get_secret_value()
        return kwargs

    def filesystem_kwargs(self, aws_region: str) -> dict[str, str]:
        """Keyword arguments for pyarrow's S3FileSystem."""
        kwargs = {"region": aws_region}
        if self.endpoint:
            scheme, _, address = self.endpoint.partition("://")
            kwargs |= {"endpoint_override": address, "scheme": scheme}
        if self.access_key and self.secret_key:
            kwargs["access_key"] = self.access_key.get_secret_value()
            kwargs["secret_key"] = self.secret_key.get_secret_value()
        if self.session_token:
            kwargs["session_token"] = self.session_token.get_secret_value()
        return kwargs

    def iceberg_properties(self, aws_region: str) -> dict[str, str]:
        """pyiceberg's properties of this S3."""
        properties = {"s3.region": aws_region}
        if self.endpoint:
            properties["s3.endpoint"] = self.endpoint
        if self.access_key and self.secret_key:
            properties["s3.access-key-id"] = self.access_key.get_secret_value()
            properties["s3.secret-access-key"] = self.secret_key.get_secret_value()
        if self.session_token:
            properties["s3.session-token"] = self.session_token.get_secret_value()
        return properties


class EmrServerless(BaseModel):
    """Where Spark jobs run when `spark` is emr-serverless."""

    application: str | None = None
    role: str | None = None
    """ARN of the role that a job runs as."""
    entry_point: str | None = None
    """Where the package's main.py is, the rest of the package beside it: s3://bucket/code/VERSION/main.py."""
    postgres_secret: str | None = None
    """Name or ARN of the secret that holds the DSN of the region's database."""
    python: str | None = None
    """The Python of the application's image; its own default where unset."""
    logs: str | None = None
    """Where jobs leave their logs; below logs/spark/ of the region's own bucket where unset."""
    endpoint: str | None = None


class _FromMapping(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="_", env_nested_max_split=1, extra="ignore", frozen=True
    )

    store_timeout_s: float = Field(default=30.0, gt=0)
    """How long a store may be silent before the commands that need it end; the consumer waits as long as it takes."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only the environment (and arguments, in tests): no dotenv, no secret files."""
        return init_settings, _MappingSource(settings_cls)

    @classmethod
    def load(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Settings from the process's environment, or from `environ` alone where given.

        Raises BadSettings that names each variable, never its value.
        """
        token = _environ.set(environ)
        try:
            return cls()
        except ValidationError as error:
            raise BadSettings(_explain(error)) from None
        finally:
            _environ.reset(token)


class Buckets(_FromMapping):
    """Where objects are. AWS gives each bucket name once in the world, so there the defaults are not to be had."""

    lake_bucket: _Bucket | None = None
    exchange_bucket: _Bucket = names.EXCHANGE_BUCKET

    def lake(self, region: str) -> str:
        """The bucket of a region's lake."""
        return self.lake_bucket or names.bucket(region)


class LakeSettings(Buckets):
    """What a Spark job of one region works with, and all that it may be given: no stream, no Redis, no release key."""

    region: str
    dynamodb: AwsService = AwsService()
    s3: AwsService = AwsService()
    postgres_dsn: SecretStr

    catalog: Literal["sql", "glue"] = "sql"
    spark: Literal["local", "emr-serverless"] = "local"
    spark_memory: str = ""
    """Java's heap of a local session; chosen by the work's size where empty (lake.spark.size)."""
    state: Path = Path(".fleetlake")
    """A folder of this machine for caches (jars, Java) and local Spark scratch."""

    straggler_share: float = Field(default=0.05, gt=0, le=1)
    straggler_wait_h: float = Field(default=6.0, ge=0)
    snapshot_keep_h: float = Field(default=72.0, ge=1)
    """Snapshots of history younger than this can be read and rolled back to."""
    live_unseen_days: int = Field(default=30, ge=1)
    landing_keep_days: int = Field(default=90, ge=0)
    """Landing and rejected objects older than this go with their ledger entries, once history is proven to have them;
    0 keeps them."""
    trip_stop_s: int = Field(default=300, ge=1)
    trip_gap_s: int = Field(default=3600, ge=1)
    moving_kmh: float = Field(default=3.0, ge=0)
    trip_least_m: float = Field(default=200.0, ge=0)
    trip_least_s: float = Field(default=180.0, ge=0)
    pack_from_rows: int = Field(default=1_000_000, ge=0)
    """A day that still fills up is derived from packed hours once it depends on so many rows of history."""

    @model_validator(mode="after")
    def _every_secret_is_the_regions_own(self) -> Self:
        dsns = {name: getattr(self, name, None) for name in ("postgres_dsn", "privacy_dsn")}
        redis_url = getattr(self, "redis_url", None)
        _refuse_others(
            self.region,
            {name: dsn for name, dsn in dsns.items() if dsn is not None},
            redis_url.get_secret_value() if redis_url else "",
            self.lake_bucket or "",
        )
        return self

    @property
    def bucket(self) -> str:
        """The region's lake: landing/, rejected/, warehouse/, exports/."""
        return self.lake(self.region)

    @property
    def warehouse(self) -> str:
        """Where the region's Iceberg tables are."""
        return f"s3://{self.bucket}/warehouse"

    def identifier(self, table: str) -> str:
        """A table of contracts.names as the catalog calls it.

        Glue has one set of databases for an account and AWS region, which two of our regions may share: there the
        region's name is part of the database's.
        """
        namespace, _, name = table.rpartition(".")
        return table if self.catalog == "sql" else f"{namespace}_{self.region}.{name}"

    def spark_table(self, table: str) -> str:
        """The same as Spark SQL calls it: the catalog is named after the region."""
        return f"{self.region}.{self.identifier(table)}"

    def catalog_properties(self, database: Mapping[str, Any]) -> dict[str, str]:
        """pyiceberg's properties of the region's Iceberg catalog, credentials included.

        database: host, port, user, password and dbname of `postgres_dsn`, as psycopg's conninfo_to_dict gives them.
        """
        properties = {"warehouse": self.warehouse, **self.s3.iceberg_properties(self.row.aws_region)}
        if self.catalog == "glue":
            return {"type": "glue", "glue.region": self.row.aws_region, **properties}
        uri = _sqlalchemy_uri(database, f"-csearch_path={CATALOG_SCHEMA}")
        return {"type": "sql", "uri": uri, "pool_pre_ping": "true", "schema_version": "v1", **properties}

    @property
    def row(self) -> Region:
        """This region's row of regions.toml. Raises UnknownRegion."""
        return find_region(self.region, load_regions())


class AlertSettings(BaseModel):
    """FLEETLAKE_ALERTS_*: whom Dagster tells what is wrong."""

    url: SecretStr | None = None
    """Where alerts are posted as JSON; nobody is told where unset. It often holds a key of the receiver's."""
    late_h: float = Field(default=6.0, gt=0)
    """What waits for longer on its way to the marts is late."""

    @field_validator("url")
    @classmethod
    def _is_an_address(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None and not url.get_secret_value().startswith(("https://", "http://")):
            raise ValueError("begins with https:// or http://")
        return url


class SecretReferences(_FromMapping):
    """Where a job finds the secrets that it needs: what it is given are their names, and a role that may read them."""

    region: str
    secrets: AwsService = AwsService()
    postgres_secret: str | None = None
    """Name or ARN of a secret of Secrets Manager whose text is FLEETLAKE_POSTGRES_DSN."""


class RegionSettings(LakeSettings):
    """What a process of one region works with."""

    kinesis: AwsService = AwsService()
    redis_url: SecretStr
    redis_iam_cache: str | None = None
    """Name of the ElastiCache replication group whose user, that of `redis_url`, authenticates by IAM."""
    privacy_dsn: SecretStr
    release_key: SecretStr
    """Key of the HMAC that contributors to a release are remembered by."""
    emr: EmrServerless = EmrServerless()
    gateway: GatewaySettings = GatewaySettings()
    serving: ServingSettings = ServingSettings()
    alerts: AlertSettings = AlertSettings()
    run_log_days: int = Field(default=90, ge=0)
    """Dagster's runs and their events are removed after so many days; 0 keeps them."""

    reading: Literal["polling", "fan-out"] = "polling"
    """How shards are read: GetRecords, or enhanced fan-out as the registered consumer `fan_out_consumer`."""
    reader: Literal["compiled", "msgspec"] = "compiled"
    """What reads plain records and answers: machine code that numba makes, or msgspec as for all others."""
    unpack: str = Field(default="", pattern=rf"^({'|'.join(names.PACKINGS)})?(,({'|'.join(names.PACKINGS)}))*$")
    """What is unpacked besides KPL aggregates, separated by commas: gzip, zstd, documents."""
    fan_out_consumer: str = Field(default="fleetlake", pattern=r"^[A-Za-z0-9_.-]{1,128}$")
    start: Literal["TRIM_HORIZON", "LATEST"] | AwareDatetime = "TRIM_HORIZON"
    """Where a stream that has no leases yet is read from: its oldest record, its newest, or an arrival time."""
    flush_rows: int = Field(default=500_000, ge=1)
    flush_mib: int = Field(default=128, ge=1)
    flush_age_s: float = Field(default=60.0, gt=0)
    buffer_mib: int = Field(default=320, ge=16)
    """Decoded records that one worker may hold, over all shards, before it stops reading."""
    open_hours: int = Field(default=6, ge=1, le=72)
    """Arrival hours that one flush of a shard may hold open; a ledger entry of more might exceed DynamoDB's 400 KB."""
    lease_ttl_s: float = Field(default=10.0, gt=0)
    shard_reads_s: float = Field(default=5.0, ge=0)
    """GetRecords a second and shard, as Kinesis allows; 0 leaves it to the stream to refuse."""
    shard_mb_s: float = Field(default=2.0, ge=0)
    """Megabytes (10^6 bytes) a second and shard beyond a first 10, as Kinesis allows; 0 as above."""
    trail_points: int = Field(default=100, ge=0)
    live_changes: int = Field(default=1_000, ge=0)
    """Entries that the stream R:changed keeps, one a write of at most 500 devices; 0 does not write it."""
    metrics_host: str = Field(default="127.0.0.1", min_length=1)
    """The address that metrics and health are served on; 0.0.0.0 is every interface."""
    metrics_port: int = Field(default=0, ge=0, le=65535)
    """0 picks a free port."""

    trail_max_mib: int = Field(default=256, ge=1)
    """Bytes (compressed, as they are stored) that one spot query may read."""

    merge_open_hours: bool = False
    """Merge an arrival hour while it still grows: history follows at once, at a commit for every few flushes."""

    whole_proof_days: float = Field(default=7.0, ge=0)
    """A reconciliation reads all of landing and history where none has for so long; 0 does each time."""

    export_link_h: float = Field(default=72.0, gt=0, le=168)
    """Hours for which the link to an answer to a data subject opens it; then the answer goes. S3 signs for 7 days."""

    backup_keep_days: int = Field(default=30, ge=0)
    """Days that backups, snapshots and logs of the stores are kept: an erasure has expired once they are over."""

    release_delay_days: int = Field(default=3, ge=0)
    cohort_size: int = Field(default=10, ge=2)
    dominance_share: float = Field(default=0.5, gt=0, le=1)
    p_percent: float = Field(default=10.0, gt=0, le=100)
    """Within so much of the truth nobody's part of a released sum can be computed by another who contributes to it."""
    least_holders: int = Field(default=3, ge=3)

    @model_validator(mode="after")
    def _emr_is_known_where_used(self) -> Self:
        emr = self.emr
        needed = (emr.application, emr.role, emr.entry_point, emr.postgres_secret)
        if self.spark == "emr-serverless" and not all(needed):
            raise ValueError("emr-serverless needs FLEETLAKE_EMR_APPLICATION, _ROLE, _ENTRY_POINT and _POSTGRES_SECRET")
        return self

    @property
    def packings(self) -> frozenset[str]:
        """What is unpacked: see contracts.packing."""
        return frozenset(filter(None, self.unpack.split(",")))


class WorldSettings(_FromMapping):
    """What the world pipeline works with: the exchange, to read, and its own database."""

    region: Literal["world"] = "world"
    aws_region: str = "eu-central-1"
    exchange_bucket: _Bucket = names.EXCHANGE_BUCKET
    s3: AwsService = AwsService()
    postgres_dsn: SecretStr
    release_delay_days: int = Field(default=3, ge=0)
    """As the regions have it: a release is late that is not there when it has passed."""
    serving: ServingSettings = ServingSettings()
    alerts: AlertSettings = AlertSettings()
    run_log_days: int = Field(default=90, ge=0)
    """Dagster's runs and their events are removed after so many days; 0 keeps them."""

    @model_validator(mode="after")
    def _no_secret_is_a_regions(self) -> Self:
        _refuse_others(self.region, {"postgres_dsn": self.postgres_dsn})
        return self


class _MappingSource(EnvSettingsSource):
    """Reads variables from the mapping that `load` was given, where it was given one."""

    def _load_env_vars(self) -> Mapping[str, str | None]:
        environ = _environ.get()
        return super()._load_env_vars() if environ is None else parse_env_vars(environ, self.case_sensitive)


def _refuse_others(region: str, dsns: Mapping[str, SecretStr], redis_url: str = "", bucket: str = "") -> None:
    found = others_secrets(region, {name: dsn.get_secret_value() for name, dsn in dsns.items()}, redis_url, bucket)
    if found:
        told = "; ".join(f"{PREFIX}{sentence}" for sentence in found)
        raise ValueError(f"{told}; a process of {region} starts from its own secrets alone")


def _sqlalchemy_uri(database: Mapping[str, Any], options: str) -> str:
    """The URI of a Postgres database for SQLAlchemy with psycopg; `options` as libpq takes them."""
    user, password = (quote(str(database.get(name) or ""), safe="") for name in ("user", "password"))
    login = f"{user}:{password}@" if password else f"{user}@" if user else ""
    host, port = str(database.get("host") or ""), database.get("port") or 5432
    address = f"[{host}]" if ":" in host else host
    return f"postgresql+psycopg://{login}{address}:{port}/{database['dbname']}?options={quote(options, safe='')}"


def _explain(error: ValidationError) -> str:
    lines = []
    for fault in error.errors(include_input=False, include_url=False):
        variable = PREFIX + "_".join(str(part) for part in fault["loc"]).upper()
        lines.append(f"{variable}: {fault['msg'].lower()}")
    return "settings are incomplete or wrong: " + "; ".join(lines) + " (see docs/settings.md)"
