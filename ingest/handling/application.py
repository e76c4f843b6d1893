"""An application that handles a stream's records: where the stream is, and where its own state goes."""

import re
from dataclasses import dataclass, field
from pathlib import Path

from contracts.errors import Misuse
from contracts.names import stream
from contracts.settings import AwsService, RegionSettings
from ingest.worker import Options

_NAME = re.compile(r"[a-z][a-z0-9-]{0,31}")


@dataclass(frozen=True, kw_only=True)
class Application:
    """One application. All its processes share the stream's shards; other applications read the stream for themselves.

    Its leases are in the tables leases-SCOPE and ledger-SCOPE, which are made where they are missing. Records set aside
    are in the bucket, below applications/NAME/rejected/. Services without keys use botocore's own chain.
    """

    name: str
    stream: str
    aws_region: str
    bucket: str
    scope: str = ""
    """By default the name."""
    kinesis: AwsService = field(default_factory=AwsService)
    dynamodb: AwsService = field(default_factory=AwsService)
    s3: AwsService = field(default_factory=AwsService)
    state: Path = Path(".fleetlake")
    """A folder of this machine; a process that starts again there need not wait for its leases to expire."""
    metrics_host: str = "127.0.0.1"
    metrics_port: int = 0
    options: Options = field(default_factory=Options)

    def __post_init__(self) -> None:
        """Refuse names that tables and keys cannot have."""
        if not _NAME.fullmatch(self.name):
            raise Misuse(f"application {self.name!r}: a name is 1 to 32 of a-z, 0-9 and -, and begins with a letter")

    @classmethod
    def of(cls, settings: RegionSettings, name: str) -> "Application":
        """An application on the stream of a region of Fleetlake, with the region's access and bucket."""
        return cls(
            name=name,
            stream=stream(settings.region),
            aws_region=settings.row.aws_region,
            bucket=settings.bucket,
            scope=f"{settings.region}-{name}",
            kinesis=settings.kinesis,
            dynamodb=settings.dynamodb,
            s3=settings.s3,
            state=settings.state,
            metrics_host=settings.metrics_host,
            metrics_port=settings.metrics_port,
            options=Options.of(settings),
        )

    @property
    def table_scope(self) -> str:
        """What its tables are named after."""
        return self.scope or self.name

    @property
    def prefix(self) -> str:
        """Below which its objects are."""
        return f"applications/{self.name}/"
