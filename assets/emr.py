"""Spark on EMR Serverless: a job runs there from its package; its report comes back through S3."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import boto3
import msgspec
from botocore.exceptions import BotoCoreError, ClientError
from dagster import AssetExecutionContext, DagsterExecutionInterruptedError, PipesEnvContextInjector, open_pipes_session
from dagster_aws.pipes import PipesS3MessageReader

from assets.emr_application import MESSAGES_TAG, EmrApplication, JobRun, Plan
from assets.redaction import safe_text
from contracts.errors import FleetlakeError, SparkJobFailed, StoreUnavailable
from contracts.settings import RegionSettings

if TYPE_CHECKING:
    from lake.jobs import Job, Report

MESSAGES = "pipes"
"""Folder of the region's own bucket that reports travel through."""
LOGS = "logs/spark"
"""Folder of the region's own bucket that jobs log to: logs may quote rows, so no other place is told of them."""
_DRIVER_VARIABLE = "spark.emr-serverless.driverEnv."
_POLL_S = 5.0


class EmrServerlessSparkJobs:
    """SparkJobs on an EMR Serverless application.

    A job has the role's credentials and the settings that it needs, no secret. One that is under way already, because
    the process that waited for it died, is waited for and not started twice.
    """

    def __init__(self, settings: RegionSettings, application: EmrApplication, s3: Any, poll_s: float) -> None:
        self._settings, self._application, self._s3 = settings, application, s3
        self._interval_s = min(1.0, poll_s)

    def run(self, job: "Job", context: AssetExecutionContext) -> "Report":
        """See SparkJobs. A job that EMR calls a success but that sent no report raises SparkJobFailed."""
        kind = type(job).__name__
        try:
            return self._run(job, context)
        except FleetlakeError:
            raise
        except BotoCoreError as error:
            raise StoreUnavailable(f"{kind}: EMR Serverless does not answer ({safe_text(error)})") from None
        except ClientError as error:
            raise SparkJobFailed(f"{kind} failed on EMR Serverless ({safe_text(error)})") from None

    def _run(self, job: "Job", context: AssetExecutionContext) -> "Report":
        name = job_name(job)
        plan = self._application.plan(name)
        folder = plan.under_way.messages if plan.under_way else f"{MESSAGES}/{plan.token}"
        # A reader counts the messages that it has read, so each job has its own.
        reader = _Messages(folder, bucket=self._settings.bucket, client=self._s3, interval=self._interval_s)
        injector = PipesEnvContextInjector()
        with open_pipes_session(context=context, context_injector=injector, message_reader=reader) as session:
            job_run = plan.under_way or self._start(job, plan, session)
            context.log.info(f"{name} is job run {job_run.id}{' already' if plan.under_way else ''}")
            state = self._wait(job_run, context)
        return self._outcome(job, job_run, state, session.get_custom_messages())

    def _start(self, job: "Job", plan: Plan, session: Any) -> JobRun:
        parameters = start_parameters(self._settings, job, session.get_bootstrap_env_vars())
        parameters["tags"] |= session.default_remote_invocation_info | {MESSAGES_TAG: f"{MESSAGES}/{plan.token}"}
        return self._application.start(job_name(job), plan.token, parameters)

    def _wait(self, job_run: JobRun, context: AssetExecutionContext) -> str:
        try:
            return self._application.wait(job_run)
        except (DagsterExecutionInterruptedError, KeyboardInterrupt):
            context.log.warning(f"this run was ended; job run {job_run.id} is cancelled")
            self._application.cancel(job_run)
            raise

    def _outcome(self, job: "Job", job_run: JobRun, state: str, messages: Sequence[Any]) -> "Report":
        from lake.jobs import Failure, Report

        kind = type(job).__name__
        logs = f"{logs_of(self._settings)}/applications/{self._settings.emr.application}/jobs/{job_run.id}/"
        failures = [msgspec.convert(one, Failure) for one in messages if "failed" in one]
        if failures:
            failure = failures[-1]
            error = StoreUnavailable if failure.failed == StoreUnavailable.__name__ else SparkJobFailed
            raise error(f"{kind} failed on EMR Serverless ({failure.failed}: {failure.text}); its logs: {logs}")
        if state != "SUCCESS":
            raise SparkJobFailed(f"{kind} failed on EMR Serverless ({state}); its logs: {logs}")
        if len(messages) != 1:
            raise SparkJobFailed(
                f"{kind} ended on EMR Serverless with {len(messages)} reports instead of one; its logs: {logs}"
            )
        return msgspec.convert(messages[0], Report)


def job_name(job: "Job") -> str:
    """The name of the job's runs: the same for the same work, and only for that."""
    from lake.jobs import encode

    digest = blake2b(encode(job).encode(), digest_size=8).hexdigest()
    return f"{job.region} {type(job).__name__} {digest}"


def start_parameters(settings: RegionSettings, job: "Job", pipes: "dict[str, str] | Any") -> dict[str, Any]:
    """The parameters of StartJobRun. pipes: variables that dagster-pipes reads in the job."""
    from lake.job_environment import job_environment
    from lake.jobs import encode
    from lake.package.submit import MAIN, as_parameters, package_settings, size_settings

    emr = settings.emr
    package = str(emr.entry_point).removesuffix(f"/{MAIN}")
    driver = {**job_environment(settings, job), **pipes}
    submitted = {
        **package_settings(package),
        **size_settings(settings.row.spark),
        **_python(emr.python),
        **{f"{_DRIVER_VARIABLE}{name}": value for name, value in driver.items()},
    }
    return {
        "executionRoleArn": emr.role,
        "tags": {"fleetlake:region": settings.region},
        "jobDriver": {
            "sparkSubmit": {
                "entryPoint": emr.entry_point,
                "entryPointArguments": ["--job", encode(job)],
                "sparkSubmitParameters": as_parameters(submitted),
            }
        },
        "configurationOverrides": {
            "monitoringConfiguration": {
                "s3MonitoringConfiguration": {"logUri": logs_of(settings)},
                "managedPersistenceMonitoringConfiguration": {"enabled": False},
            }
        },
    }


def logs_of(settings: RegionSettings) -> str:
    """The folder that the region's jobs log to."""
    return (settings.emr.logs or f"s3://{settings.bucket}/{LOGS}").rstrip("/")


def _python(path: str | None) -> dict[str, str]:
    if path is None:
        return {}
    variables = (f"{_DRIVER_VARIABLE}PYSPARK_DRIVER_PYTHON", f"{_DRIVER_VARIABLE}PYSPARK_PYTHON")
    return dict.fromkeys((*variables, "spark.executorEnv.PYSPARK_PYTHON"), path)


class _Messages(PipesS3MessageReader):
    """Reports in a known folder, so that they are found again and a lifecycle rule can clear them."""

    def __init__(self, folder: str, **named: Any) -> None:
        super().__init__(**named)
        self._folder = folder

    @contextmanager
    def get_params(self) -> Iterator[dict[str, Any]]:
        with super().get_params() as params:
            yield {**params, "key_prefix": self._folder}


def emr_serverless(settings: RegionSettings, poll_s: float = _POLL_S) -> EmrServerlessSparkJobs:
    """SparkJobs on the application that the settings name."""
    region = settings.row.aws_region
    s3 = boto3.client("s3", **settings.s3.client_kwargs(region))
    emr = boto3.client("emr-serverless", region_name=region, endpoint_url=settings.emr.endpoint)
    application = EmrApplication(emr, str(settings.emr.application), poll_s)
    return EmrServerlessSparkJobs(settings, application, s3, poll_s)
