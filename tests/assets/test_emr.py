"""Spark on EMR Serverless, against moto's API with jobs that really run the entry point."""

import os
import shlex
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import boto3
import pytest
from dagster import AssetExecutionContext, DagsterInstance, MaterializeResult, ResourceParam, asset, materialize
from moto import mock_aws
from moto.emrserverless.models import EMRServerlessBackend

from assets.emr import emr_serverless
from assets.spark import SparkJobs
from contracts.errors import SparkJobFailed
from contracts.settings import RegionSettings
from lake.jobs import DeriveDays, Report

ROOT = Path(__file__).resolve().parents[2]
NO_DATA = date(2001, 2, 3)


class Application:
    """Runs what StartJobRun is given as EMR would: the entry point with its arguments and driver variables."""

    def __init__(self, environment: dict[str, str], runs: bool) -> None:
        self.environment, self.runs = environment, runs

    def execute(self, run) -> None:
        run.state = "SCHEDULED"
        submit = run.job_driver["sparkSubmit"]
        confs = [word for word in shlex.split(submit["sparkSubmitParameters"]) if word != "--conf"]
        prefix = "spark.emr-serverless.driverEnv."
        given = dict(conf.removeprefix(prefix).split("=", 1) for conf in confs if conf.startswith(prefix))
        done = subprocess.run(
            [sys.executable, "-m", "lake.main", *submit["entryPointArguments"]],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], **self.environment, **given},
            capture_output=True,
            check=False,
        )
        run.state = "SUCCESS" if done.returncode == 0 else "FAILED"


@pytest.fixture
def emr(stack, monkeypatch) -> Iterator[tuple[Application, RegionSettings]]:
    environment = stack.environment("eu")
    with mock_aws():
        yield from application_of(environment, monkeypatch)


def application_of(environment, monkeypatch):
    client = boto3.client("emr-serverless", region_name="eu-central-1")
    made = client.create_application(name="fleetlake-eu", releaseLabel="emr-6.6.0", type="SPARK")
    application = Application(environment, runs=True)
    start = EMRServerlessBackend.start_job_run

    def start_and_run(backend, *arguments, **named):
        run = start(backend, *arguments, **named)
        if application.runs:
            run.state = "SCHEDULED"
            threading.Thread(target=application.execute, args=[run], daemon=True).start()
        return run

    monkeypatch.setattr(EMRServerlessBackend, "start_job_run", start_and_run)
    settings = RegionSettings.load(
        environment
        | {
            "FLEETLAKE_SPARK": "emr-serverless",
            "FLEETLAKE_EMR_APPLICATION": made["applicationId"],
            "FLEETLAKE_EMR_ROLE": "arn:aws:iam::123456789012:role/fleetlake-eu-spark",
            "FLEETLAKE_EMR_ENTRY_POINT": "s3://lake-eu/code/lake/main.py",
        }
    )
    yield application, settings


def derive(settings: RegionSettings, region: str = "eu") -> list[Report]:
    """Run a job on EMR from within a Dagster run; the reports that came back. Raises what the job raised."""
    reports: list[Report] = []

    @asset
    def derived(context: AssetExecutionContext, spark: ResourceParam[SparkJobs]) -> MaterializeResult:
        reports.append(spark.run(DeriveDays(region, [NO_DATA], again=True), context))
        return MaterializeResult(metadata=reports[0].counts)

    with DagsterInstance.ephemeral() as instance:
        materialize([derived], resources={"spark": emr_serverless(settings, poll_s=0.2)}, instance=instance)
    return reports


def test_a_job_on_emr_returns_the_report_that_the_entry_point_made(emr):
    (report,) = derive(emr[1])

    assert report.job == DeriveDays("eu", [NO_DATA], again=True)
    assert set(report.tables) == {"history.trip", "history.device_day", "history.episode"}


def test_a_success_without_a_report_is_a_failure(emr, monkeypatch):
    monkeypatch.setattr("dagster._core.pipes.utils.WAIT_FOR_LOGS_AFTER_EXECUTION_INTERVAL", 1)  # s; there is none
    application, settings = emr
    application.runs = False

    with pytest.raises(SparkJobFailed, match="0 reports"):
        derive(settings)


def test_a_job_that_fails_is_a_failure(emr):
    with pytest.raises(SparkJobFailed, match="DeriveDays failed on EMR Serverless"):
        derive(emr[1], region="us")


def test_emr_needs_to_be_named(stack):
    from contracts.errors import BadSettings

    with pytest.raises(BadSettings, match=r"(?i)fleetlake_emr_application"):
        RegionSettings.load(stack.environment("eu") | {"FLEETLAKE_SPARK": "emr-serverless"})
