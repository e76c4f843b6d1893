"""The entry point of a Spark job that another process started: `python -m lake.main --job JSON`.

EMR Serverless starts it with the region's settings and dagster-pipes' parameters in the environment. It runs what the
local session runs and sends the report as a custom message; a job that ends without one has failed.
"""

import argparse
import sys
from collections.abc import Sequence
from typing import Any

import boto3
import msgspec
import structlog
from dagster_pipes import (
    PipesContext,
    PipesDefaultMessageWriter,
    PipesEnvVarParamsLoader,
    PipesMessageWriter,
    PipesS3MessageWriter,
    open_dagster_pipes,
)

from contracts.errors import FleetlakeError, Misuse
from contracts.settings import RegionSettings
from lake.jobs import Job, Report, decode

log = structlog.get_logger()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one job. Returns 0, or what the error tree says: 1 failed, 2 misused."""
    try:
        job = _job(arguments)
        settings = RegionSettings.load()
        report = _run_and_tell(settings, job)
    except FleetlakeError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)  # noqa: T201 - a command's message
        return error.exit_code
    log.info("done", job=type(job).__name__, region=report.region, seconds=report.seconds, **report.counts)
    return 0


def _run_and_tell(settings: RegionSettings, job: Job) -> Report:
    params: PipesEnvVarParamsLoader = PipesEnvVarParamsLoader()  # type: ignore[no-untyped-call]
    if not params.is_dagster_pipes_process():
        return _run(settings, job)
    with open_dagster_pipes(params_loader=params, message_writer=_writer(settings, params)) as pipes:
        return _tell(pipes, _run(settings, job))


def _run(settings: RegionSettings, job: Job) -> Report:
    from lake.run import check_region, run
    from lake.spark.session import spark_session

    check_region(settings, job)  # before Spark has started for nothing
    return run(spark_session(settings), settings, job)


def _tell(pipes: PipesContext, report: Report) -> Report:
    pipes.report_custom_message(msgspec.to_builtins(report))
    return report


def _writer(settings: RegionSettings, params: PipesEnvVarParamsLoader) -> PipesMessageWriter[Any]:
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
