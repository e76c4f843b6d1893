"""Spark on EMR Serverless: dagster-aws starts lake/main.py there and waits; the report comes back through S3."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import boto3
import msgspec
from dagster import AssetExecutionContext
from dagster_aws.pipes import PipesEMRServerlessClient, PipesS3MessageReader

from assets.redaction import safe_text
from contracts.errors import SparkJobFailed
from contracts.settings import RegionSettings

if TYPE_CHECKING:
    from lake.jobs import Job, Report

MESSAGES = "pipes"
"""Folder of the region's own bucket that reports travel through."""
_POLL_S = 5.0


class EmrServerlessSparkJobs:
    """SparkJobs on an EMR Serverless application."""

    def __init__(self, settings: RegionSettings, client: PipesEMRServerlessClient) -> None:
        self._settings = settings
        self._client = client

    def run(self, job: "Job", context: AssetExecutionContext) -> "Report":
        """See SparkJobs. A job that EMR calls a success but that sent no report raises SparkJobFailed."""
        from lake.jobs import Report

        kind = type(job).__name__
        try:
            done = self._client.run(context=context, start_job_run_params=self._start_parameters(job))
        except Exception as error:  # noqa: BLE001 - whatever the client raises, the job has no report
            raise SparkJobFailed(f"{kind} failed on EMR Serverless ({safe_text(error)}); see the job's logs") from None
        reports = done.get_custom_messages()
        if len(reports) != 1:
            raise SparkJobFailed(f"{kind} ended on EMR Serverless with {len(reports)} reports instead of one")
        return msgspec.convert(reports[0], Report)

    def _start_parameters(self, job: "Job") -> dict[str, Any]:
        from lake.jobs import encode

        emr, region = self._settings.emr, self._settings.region
        return {
            "applicationId": emr.application,
            "executionRoleArn": emr.role,
            "name": f"{region} {type(job).__name__}",
            "tags": {"fleetlake:region": region},
            "jobDriver": {
                "sparkSubmit": {
                    "entryPoint": emr.entry_point,
                    "entryPointArguments": ["--job", encode(job)],
                    "sparkSubmitParameters": f"--conf spark.emr-serverless.driverEnv.FLEETLAKE_REGION={region}",
                }
            },
        }


class _Client(PipesEMRServerlessClient):
    """Leaves messages to the reader: EMR's own client knows CloudWatch only, and warns of any other."""

    def _read_messages(self, *_: Any) -> None:
        return


class _Messages(PipesS3MessageReader):
    """Reports in a folder of their own, so that a lifecycle rule can clear it."""

    @contextmanager
    def get_params(self) -> Iterator[dict[str, Any]]:
        with super().get_params() as params:
            yield {**params, "key_prefix": f"{MESSAGES}/{random.getrandbits(128):032x}"}


def emr_serverless(settings: RegionSettings, poll_s: float = _POLL_S) -> EmrServerlessSparkJobs:
    """SparkJobs on the application that the settings name."""
    region = settings.row.aws_region
    s3 = boto3.client("s3", **settings.s3.client_kwargs(region))
    emr = boto3.client("emr-serverless", region_name=region, endpoint_url=settings.emr.endpoint)
    reader = _Messages(bucket=settings.bucket, client=s3, interval=min(1.0, poll_s))
    return EmrServerlessSparkJobs(settings, _Client(client=emr, message_reader=reader, poll_interval=poll_s))
