"""Spark on EMR Serverless, against moto's API with jobs that really run the entry point."""

import json
import os
import shlex
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from types import SimpleNamespace

import boto3
import pytest
from botocore.exceptions import ConnectionClosedError
from dagster import (
    AssetExecutionContext,
    DagsterExecutionInterruptedError,
    DagsterInstance,
    MaterializeResult,
    ResourceParam,
    asset,
    materialize,
)
from moto import mock_aws
from moto.emrserverless.models import EMRServerlessBackend, emrserverless_backends

from assets.emr import emr_serverless, job_name, start_parameters
from assets.emr_application import MESSAGES_TAG, EmrApplication
from assets.spark import SparkJobs
from contracts.errors import SparkJobFailed, StoreUnavailable
from contracts.settings import RegionSettings
from lake.jobs import DeriveDays, Maintain, MergeLanding, Report

ROOT = Path(__file__).resolve().parents[2]
NO_DATA = date(2001, 2, 3)


SECRET = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:fleet-eu"
MACHINE = {name: os.environ[name] for name in ("PATH", "HOME")}


class Application:
    """Runs what StartJobRun is given as EMR would: the entry point with its arguments and driver variables, and what
    the role may do. A token that was used before starts nothing. On EMR the job is in Spark already.
    """

    def __init__(self, environment: dict[str, str], runs: bool) -> None:
        self.environment, self.runs = environment, runs
        self.state = "SUCCESS"
        self.by_token: dict[str, object] = {}

    def execute(self, run) -> None:
        run.state = "SCHEDULED"
        submit = run.job_driver["sparkSubmit"]
        confs = [word for word in shlex.split(submit["sparkSubmitParameters"]) if word != "--conf"]
        prefix = "spark.emr-serverless.driverEnv."
        given = dict(conf.removeprefix(prefix).split("=", 1) for conf in confs if conf.startswith(prefix))
        done = subprocess.run(
            [sys.executable, "-m", "lake.main", *submit["entryPointArguments"]],
            cwd=ROOT,
            env={**MACHINE, **self.environment, **given, "FLEETLAKE_SPARK": "local"},
            capture_output=True,
            check=False,
        )
        run.state = "SUCCESS" if done.returncode == 0 else "FAILED"


@pytest.fixture
def emr(stack, monkeypatch) -> Iterator[tuple[Application, RegionSettings]]:
    environment = stack.environment("eu")
    role = ("FLEETLAKE_S3_", "FLEETLAKE_DYNAMODB_", "FLEETLAKE_POSTGRES_", "FLEETLAKE_STATE", "FLEETLAKE_REGIONS_FILE")
    with mock_aws():
        allowed = {name: value for name, value in environment.items() if name.startswith(role)}
        yield from application_of(environment, allowed, monkeypatch)


def application_of(environment, allowed, monkeypatch):
    client = boto3.client("emr-serverless", region_name="eu-central-1")
    made = client.create_application(name="fleetlake-eu", releaseLabel="emr-6.6.0", type="SPARK")
    backend = emrserverless_backends["123456789012"]["eu-central-1"]
    backend.job_runs[made["applicationId"]] = []  # moto calls an application without runs unknown; AWS does not
    application = Application(allowed, runs=True)
    start = EMRServerlessBackend.start_job_run

    def start_and_run(backend, **named):
        token = named["client_token"]
        if token in application.by_token:
            return application.by_token[token]
        run = application.by_token[token] = start(backend, **named)
        run.state = application.state
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
            "FLEETLAKE_EMR_ENTRY_POINT": "s3://lake-eu/code/0123/main.py",
            "FLEETLAKE_EMR_POSTGRES_SECRET": SECRET,
        }
    )
    yield application, settings


def derive(settings: RegionSettings, *days: date, region: str = "eu") -> list[Report]:
    """Run a job a day on EMR from within a Dagster run; the reports that came back. Raises what the job raised."""
    reports: list[Report] = []

    @asset
    def derived(context: AssetExecutionContext, spark: ResourceParam[SparkJobs]) -> MaterializeResult:
        for day in days or [NO_DATA]:
            reports.append(spark.run(DeriveDays(region, [day], again=True), context))
        return MaterializeResult(metadata=reports[0].counts)

    with DagsterInstance.ephemeral() as instance:
        materialize([derived], resources={"spark": emr_serverless(settings, poll_s=0.2)}, instance=instance)
    return reports


def test_a_job_on_emr_returns_the_report_that_the_entry_point_made(emr):
    (report,) = derive(emr[1])

    assert report.job == DeriveDays("eu", [NO_DATA], again=True)
    assert set(report.tables) == {"history.trip", "history.device_day", "history.episode", "history.fault_day"}


def runs_of(settings: RegionSettings) -> list:
    """moto's job runs of the application."""
    return emrserverless_backends["123456789012"]["eu-central-1"].job_runs[settings.emr.application]


def cut_off(*_: object) -> None:
    raise ConnectionClosedError(endpoint_url="emr")


def test_each_job_of_a_run_gets_its_own_report(emr):
    reports = derive(emr[1], NO_DATA, NO_DATA)

    assert [report.job.days for report in reports] == [[NO_DATA], [NO_DATA]]
    assert [run.state for run in runs_of(emr[1])] == ["SUCCESS", "SUCCESS"]  # the same job, once the first had ended


def test_a_job_whose_launcher_died_is_found_again_and_not_started_twice(emr, monkeypatch):
    with monkeypatch.context() as patch, pytest.raises(StoreUnavailable, match="EMR Serverless does not answer"):
        patch.setattr(EmrApplication, "wait", cut_off)
        derive(emr[1])

    (report,) = derive(emr[1])

    assert report.job == DeriveDays("eu", [NO_DATA], again=True)
    assert len(runs_of(emr[1])) == 1


def test_two_launchers_that_see_nothing_start_one_run(emr):
    client = boto3.client("emr-serverless", region_name="eu-central-1")
    application = EmrApplication(client, emr[1].emr.application, 0.1)
    emr[0].runs, emr[0].state = False, "RUNNING"
    job = DeriveDays("eu", [NO_DATA])
    plans = [application.plan(job_name(job)) for _ in range(2)]
    started = []
    for plan in plans:
        parameters = start_parameters(emr[1], job, {})
        parameters["tags"][MESSAGES_TAG] = f"pipes/{plan.token}"
        started.append(application.start(job_name(job), plan.token, parameters))

    assert started[0] == started[1] == application.plan(job_name(job)).under_way
    assert application.plan(job_name(DeriveDays("eu", []))).under_way is None
    assert len(runs_of(emr[1])) == 1


def test_a_run_that_is_ended_cancels_its_job(emr, monkeypatch):
    emr[0].runs, emr[0].state = False, "RUNNING"

    def end(_: float) -> None:
        raise DagsterExecutionInterruptedError

    monkeypatch.setattr("assets.emr_application.time", SimpleNamespace(sleep=end))
    monkeypatch.setattr("dagster._core.pipes.utils.WAIT_FOR_LOGS_AFTER_EXECUTION_INTERVAL", 1)  # s; there is none
    with pytest.raises(DagsterExecutionInterruptedError):
        derive(emr[1])

    assert [run.state for run in runs_of(emr[1])] == ["CANCELLED"]


def test_a_job_that_is_cancelled_elsewhere_is_a_failure_that_names_its_logs(emr, monkeypatch):
    monkeypatch.setattr("dagster._core.pipes.utils.WAIT_FOR_LOGS_AFTER_EXECUTION_INTERVAL", 1)  # s; there is none
    emr[0].runs, emr[0].state = False, "CANCELLED"

    with pytest.raises(SparkJobFailed, match=r"CANCELLED.*s3://lake-eu/logs/spark/applications/\w+/jobs/\w+/"):
        derive(emr[1])


def test_a_store_that_is_away_from_the_job_is_an_outage(emr):
    emr[0].environment |= {"FLEETLAKE_POSTGRES_DSN": "postgresql://eu@127.0.0.1:1/fleet_eu"}

    with pytest.raises(StoreUnavailable, match="Postgres of region eu does not answer"):
        derive(emr[1])


@pytest.mark.parametrize(
    "job", [MergeLanding("eu", []), DeriveDays("eu", []), Maintain("eu")], ids=lambda job: type(job).__name__
)
def test_what_emr_is_told_holds_no_secret_and_nothing_of_other_stores(emr, stack, job):
    told = json.dumps(start_parameters(emr[1], job, {}))
    secret = ("_KEY", "_URL", "_DSN", "_TOKEN")
    values = [value for name, value in stack.environment("eu").items() if name.endswith(secret)]

    assert values
    assert not [value for value in values if value in told]
    assert SECRET in told
    assert not [word for word in ("REDIS", "KINESIS", "PRIVACY", "RELEASE", "EMR_") if word in told]


def test_workers_have_the_sizes_of_the_region_table(emr, stack, tmp_path, monkeypatch):
    table = Path(stack.environment("eu")["FLEETLAKE_REGIONS_FILE"]).read_text(encoding="utf-8")
    sizes = "spark = { executor_cores = 8, executor_gib = 32, executors = 3, most_executors = 3 }"
    (tmp_path / "regions.toml").write_text(table.replace("[eu]\n", f"[eu]\n{sizes}\n"), encoding="utf-8")
    monkeypatch.setenv("FLEETLAKE_REGIONS_FILE", str(tmp_path / "regions.toml"))

    told = start_parameters(emr[1], DeriveDays("eu", []), {})["jobDriver"]["sparkSubmit"]["sparkSubmitParameters"]

    assert "--conf spark.executor.cores=8 --conf spark.executor.memory=24576m" in told
    assert "--conf spark.executor.instances=3 --conf spark.dynamicAllocation.maxExecutors=3" in told
    assert "--conf spark.archives=s3://lake-eu/code/0123/dependencies.tar.gz#dependencies," in told.replace("'", "")


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
