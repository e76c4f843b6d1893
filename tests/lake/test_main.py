"""The entry point that EMR Serverless starts: it runs what the session runs, and tells what it did."""

import base64
import json
import os
import subprocess
import sys
import zlib
from datetime import timedelta
from pathlib import Path

import boto3
import msgspec
import pytest
from dagster_pipes import PipesContext

from contracts.names import bucket
from contracts.settings import RegionSettings
from lake.iceberg.catalog import catalog
from lake.jobs import ColumnReport, DeriveDays, MergeLanding, Report, TableReport, decode, encode
from lake.main import main
from lake.merge.intake import intake
from stack.lifecycle import running_site
from tests.builders.lake import NOON, Landing, empty_lake, landing_row

ROOT = Path(__file__).parents[2]


def packed(params: dict) -> str:
    return base64.b64encode(zlib.compress(json.dumps(params).encode())).decode()


@pytest.fixture
def in_region(stack, landing, monkeypatch):
    for name, value in stack.environment("us").items():
        monkeypatch.setenv(name, value)
    landing.land([landing_row("a", NOON + timedelta(seconds=n), str(n)) for n in range(3)])
    return landing


def pipes(monkeypatch, messages: dict) -> None:
    monkeypatch.setattr(PipesContext, "_instance", None)  # a process of its own would have none
    context = {"asset_keys": ["us/history"], "run_id": "r", "extras": {}, "job_name": "j", "retry_number": 0}
    empty = dict.fromkeys(("code_version_by_asset_key", "provenance_by_asset_key", "partition_key"))
    empty |= dict.fromkeys(("partition_key_range", "partition_time_window"))
    monkeypatch.setenv("DAGSTER_PIPES_CONTEXT", packed({"data": context | empty}))
    monkeypatch.setenv("DAGSTER_PIPES_MESSAGES", packed(messages))


def reports(lines: str) -> list[Report]:
    messages = [json.loads(line) for line in lines.splitlines() if line]
    told = [m["params"]["payload"] for m in messages if m["method"] == "report_custom_message"]
    return [msgspec.convert(payload, Report) for payload in told]


def test_a_job_tells_its_report_where_its_launcher_listens(spark, in_region, monkeypatch, tmp_path):
    pipes(monkeypatch, {"path": str(tmp_path / "messages")})
    job = MergeLanding("us", [NOON])
    assert main(["--job", encode(job)]) == 0
    (report,) = reports(Path(tmp_path / "messages").read_text(encoding="utf-8"))
    assert report.job == job
    assert report.counts["inserted"] == 3


def test_messages_go_through_the_regions_bucket_where_the_launcher_says_so(spark, in_region, monkeypatch):
    settings = in_region.settings
    pipes(monkeypatch, {"bucket": bucket("us"), "key_prefix": "exports/messages"})
    assert main(["--job", encode(MergeLanding("us", [NOON]))]) == 0
    s3 = boto3.client("s3", **settings.s3.client_kwargs(settings.row.aws_region))
    keys = [item["Key"] for item in s3.list_objects_v2(Bucket=bucket("us"), Prefix="exports/messages/")["Contents"]]
    text = "\n".join(s3.get_object(Bucket=bucket("us"), Key=key)["Body"].read().decode() for key in sorted(keys))
    assert [report.counts["inserted"] for report in reports(text)] == [3]


def keys_in(s3, name: str) -> set[str]:
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=name)
    return {item["Key"] for page in pages for item in page.get("Contents", [])}


def test_a_lake_may_be_in_a_bucket_of_any_name(stack):
    keys, name = running_site(stack.state).secrets.s3_admin, "acme-telemetry-africa"
    own_keys = {"FLEETLAKE_S3_ACCESS_KEY": keys.access_key, "FLEETLAKE_S3_SECRET_KEY": keys.secret_key}
    environ = stack.environment("af") | own_keys | {"FLEETLAKE_LAKE_BUCKET": name}
    settings = RegionSettings.load(environ)
    s3 = boto3.client("s3", **settings.s3.client_kwargs(settings.row.aws_region))
    s3.create_bucket(Bucket=name)
    before = keys_in(s3, bucket("af"))
    try:
        empty_lake(settings)  # its catalog may still know tables that another test made in another bucket
        landed = Landing(settings).land([landing_row("a", NOON, "1")])
        intake(settings)
        job = encode(MergeLanding("af", [NOON]))
        words = [sys.executable, "-m", "lake.main", "--job", job]
        subprocess.run(words, env=os.environ | environ, cwd=ROOT, check=True, capture_output=True)
        rows = catalog(settings).load_table("history.telemetry").scan().to_arrow()
        kept = keys_in(s3, name)
    finally:
        empty_lake(settings)
    assert rows["device_id"].to_pylist() == ["a"]
    assert landed in kept
    assert any(key.startswith("warehouse/history/telemetry/data/") for key in kept)
    assert keys_in(s3, bucket("af")) <= before


def test_a_job_of_another_region_is_misuse(spark, in_region, capsys):
    assert main(["--job", encode(DeriveDays("eu", [NOON.date()]))]) == 2
    assert "'eu'" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["{", '{"type": "nothing"}', '{"type": "derive_days", "region": "us"}'])
def test_what_is_no_job_is_misuse(text, capsys):
    assert main(["--job", text]) == 2
    assert "Misuse: --job is no" in capsys.readouterr().err


def test_without_settings_it_says_which_are_missing(monkeypatch, capsys):
    monkeypatch.delenv("FLEETLAKE_REGION", raising=False)
    assert main(["--job", encode(DeriveDays("us", []))]) == 2
    assert "FLEETLAKE_REGION" in capsys.readouterr().err


def test_jobs_and_reports_travel_as_json():
    job = MergeLanding("us", [NOON], stragglers=True)
    assert decode(encode(job)) == job
    report = Report(job, "us", 1.5, {"inserted": 3}, {"t": TableReport(3, [ColumnReport("a", "string", "An a.")])})
    assert msgspec.json.decode(msgspec.json.encode(report), type=Report) == report
    assert json.loads(json.dumps(report.metadata()))["inserted"] == 3
