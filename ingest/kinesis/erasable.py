"""The stream: nothing can be taken out of it; what it keeps ends with its retention. Adapter of contracts.erasable."""

from datetime import datetime, timedelta

import boto3

from contracts.erasable import Counts, Remains, Scope
from contracts.names import stream
from contracts.settings import RegionSettings


class Stream:
    """The region's records on their way. Consumers leave out what is on the suppression list."""

    name = "stream"
    stores = ("kinesis:telemetry",)

    def __init__(self, settings: RegionSettings) -> None:
        self._settings = settings

    def count(self, scope: Scope) -> Counts:
        """Nothing that an erasure could take out."""
        return {}

    def search(self, scope: Scope) -> Counts:
        """What is on the stream has a date of expiry instead."""
        return {}

    def erase(self, scope: Scope) -> Counts:
        """Nothing can be taken out of a stream."""
        return {}

    def expires(self, now: datetime) -> list[Remains]:
        """Its retention, from now on: what arrived a moment ago is there as long."""
        client = boto3.client("kinesis", **self._settings.kinesis.client_kwargs(self._settings.row.aws_region))
        about = client.describe_stream_summary(StreamName=stream(self._settings.region))["StreamDescriptionSummary"]
        until = now + timedelta(hours=about["RetentionPeriodHours"])
        return [Remains("records on the stream", until, "Kinesis deletes none before its retention ends")]
