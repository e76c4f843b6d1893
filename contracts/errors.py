"""The error tree: everything Fleetlake raises on purpose, and the exit code that each kind ends a command with."""

from typing import ClassVar


class FleetlakeError(Exception):
    """Base of everything Fleetlake raises on purpose. A message says what, where and what to do."""

    exit_code: ClassVar[int] = 1


class Misuse(FleetlakeError):
    """The caller asked for something that cannot be: wrong words, files or settings. Exit code 2."""

    exit_code: ClassVar[int] = 2


class StreamReplaced(Misuse):
    """The stream was deleted and made again under its name: the leases are of the earlier one."""


class UnknownRegion(Misuse):
    """The region is not a table of regions.toml."""


class BadRegionTable(Misuse):
    """regions.toml cannot be read as a region table."""


class BadSettings(Misuse):
    """The environment does not hold the settings that this process needs."""


class BadInputFile(Misuse):
    """A file to replay is missing, unreadable, or lacks what the record contract requires."""


class BadMapping(Misuse):
    """A replay mapping is malformed or names a column that the file does not have."""


class BadCursor(Misuse):
    """A text that no page of an answer gave as its cursor."""


class TooMuchToRead(Misuse):
    """An answer would take more bytes than a query may read; nothing of them was fetched."""


class StoreUnavailable(FleetlakeError):
    """A store (Kinesis, DynamoDB, S3, Redis, Postgres) does not answer, or the stream is not there."""


class StackDown(FleetlakeError):
    """The embedded stack of this machine does not run."""


class PortTaken(FleetlakeError):
    """A port that was asked for is in use by another program."""


class ServiceFailed(FleetlakeError):
    """An embedded service did not start or died."""


class WrongJava(FleetlakeError):
    """No usable Java: Spark needs 17 or newer."""


class SchemaMismatch(FleetlakeError):
    """A frame or table lacks a column or has it in another type."""


class SinkUnavailable(StoreUnavailable):
    """A store that the consumer writes to is down, full, read-only or denying."""


class RecordsRefused(FleetlakeError):
    """A store answers, but does not take these very records, however often they are sent."""


class QuarantineFailed(FleetlakeError):
    """A record that broke a step could not be set aside: the shard stops rather than lose it."""


class ShardFailed(FleetlakeError):
    """A shard failed by a fault of the program. The message names the error's class and place, never its text, which
    may quote a record.
    """


class ObjectConflict(FleetlakeError):
    """An object of that key exists with other bytes; nothing was written."""


class LeaseLost(FleetlakeError):
    """Another worker owns the shard now; drop its buffers and stop reading it."""


class PositionMoved(FleetlakeError):
    """The shard's position is not what this worker read from; re-read the ledger before going on."""


class ForeignTable(FleetlakeError):
    """A table of the region's catalog lies outside the region's own bucket: it is another region's."""


class CommitConflict(FleetlakeError):
    """An Iceberg commit kept conflicting with others after the allowed retries."""


class SparkJobFailed(FleetlakeError):
    """A Spark job failed or ended without sending its report."""


class CredentialsExpired(FleetlakeError):
    """A store refuses keys that have expired. Nothing half done is committed."""


class ReleaseRefused(FleetlakeError):
    """A release broke its own policy: a column or value that may not leave the region."""


class NotReconciled(FleetlakeError):
    """Two stages that must agree do not."""
