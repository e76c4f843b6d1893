"""The entry point of a Spark job that another process started: `python -m lake.main --job JSON`.

A cluster starts it through the package's main.py, with the settings that this job needs and dagster-pipes' parameters
in the environment. It runs what the local session runs and sends its report, or why there is none, as a custom message.
"""

import argparse
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import boto3
import msgspec
import structlog
from botocore.exceptions import BotoCoreError, ClientError
from dagster_pipes import (
    PipesDefaultMessageWriter,
    PipesEnvVarParamsLoader,
    PipesMessageWriter,
    PipesS3MessageWriter,
    open_dagster_pipes,
)

from contracts.errors import CredentialsExpired, FleetlakeError, Misuse, StoreUnavailable
from contracts.outages import expired, store_of
from contracts.settings import LakeSettings
from lake.job_environment import job_settings
from lake.jobs import Failure, Job, Report, decode

log = structlog.get_logger()
Tell = Callable[[Report | Failure], None]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one job. Returns 0, or what the error tree says: 1 failed, 2 misused."""
    try:
        job = _job(arguments)
        settings = job_settings()
        with _listener(settings) as tell:
            return _run_and_tell(settings, job, tell)
    except FleetlakeError as error:
        return _say(error)


def _run_and_tell(settings: LakeSettings, job: Job, tell: Tell) -> int:
    """No error leaves this: dagster-pipes would send its text, which may quote a record, to Dagster."""
    try:
        report = _run(settings, job)
    except FleetlakeError as error:
        known = _expiry(settings, job) if expired(error) else error
        tell(Failure(type(known).__name__, str(known)))
        return _say(known)
    except Exception as error:  # noqa: BLE001 - whatever it is, whoever waits is told its class
        traceback.print_exc()
        cause = _cause(settings, job, error)
        tell(Failure(type(error).__name__) if cause is None else Failure(type(cause).__name__, str(cause)))
        return FleetlakeError.exit_code if cause is None else _say(cause)
    tell(report)
    log.info("done", job=type(job).__name__, region=report.region, seconds=report.seconds, **report.counts)
    return 0


def _run(settings: LakeSettings, job: Job) -> Report:
    from lake.run import check_region, run
    from lake.spark.session import spark_session

    check_region(settings, job)  # before Spark has started for nothing
    return run(spark_session(settings), settings, job)


def _cause(settings: LakeSettings, job: Job, error: Exception) -> FleetlakeError | None:
    """What another program's error comes from, where that is known."""
    if expired(error) or _keys_have_expired(settings):
        return _expiry(settings, job)
    if (store := store_of(error)) is None:
        return None
    return StoreUnavailable(f"{type(job).__name__}: {store} of region {settings.region} does not answer")


def _expiry(settings: LakeSettings, job: Job) -> CredentialsExpired:
    return CredentialsExpired(
        f"{type(job).__name__}: the keys of region {settings.region} expired while the job ran; start it again with "
        "new ones: what it had committed stays, and nothing is done twice"
    )


def _keys_have_expired(settings: LakeSettings) -> bool:
    """Whether S3 says so now: to a HEAD request it answers that something is wrong, and not what."""
    client: Any = boto3.client("s3", **settings.s3.client_kwargs(settings.row.aws_region))
    try:
        client.list_objects_v2(Bucket=settings.bucket, MaxKeys=1)
    except (BotoCoreError, ClientError) as error:
        return expired(error)
    return False


def _say(error: FleetlakeError) -> int:
    print(f"{type(error).__name__}: {error}", file=sys.stderr)  # noqa: T201 - a command's message
    return error.exit_code


@contextmanager
def _listener(settings: LakeSettings) -> Iterator[Tell]:
    """Whoever launched this process through dagster-pipes; else nobody."""
    params: PipesEnvVarParamsLoader = PipesEnvVarParamsLoader()  # type: ignore[no-untyped-call]
    if not params.is_dagster_pipes_process():
        yield lambda _: None
        return
    with open_dagster_pipes(params_loader=params, message_writer=_writer(settings, params)) as pipes:
        yield lambda message: pipes.report_custom_message(msgspec.to_builtins(message))


def _writer(settings: LakeSettings, params: PipesEnvVarParamsLoader) -> PipesMessageWriter[Any]:
    """Messages go where the launcher said: to a bucket, else to a file or stream."""
    if "bucket" in params.load_messages_params():
        client = boto3.client("s3", **settings.s3.client_kwargs(settings.row.aws_region))
        return PipesS3MessageWriter(client, interval=1)
    return PipesDefaultMessageWriter()


def _job(arguments: Sequence[str] | None) -> Job:
    parser = argparse.ArgumentParser(prog="python -m lake.main", description="Run one job of lake.jobs.")
    parser.add_argument("--job", required=True, metavar="JSON", help='such as {"type": "derive_days", ...}')
    text = parser.parse_args(arguments).job
    try:
        return decode(text)
    except msgspec.ValidationError as error:
        raise Misuse(f"--job is not a job: {error}; lake.jobs lists the jobs") from None
    except msgspec.DecodeError as error:
        raise Misuse(f"--job is not JSON: {error}") from None


if __name__ == "__main__":
    sys.exit(main())
