"""`trail`, `reconcile` and `bench` as a user meets them: answers, messages and exit codes."""

import json
import re
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest

import assets.checks
from cli.bench import benchmarks, of_all
from cli.trail_answer import tell_what_is_missing
from tests.builders.lake import Landing, landing_row

PROJECT = Path(__file__).resolve().parents[2]
DAY = ("--from", "2026-11-02", "--to", "2026-11-02")
ON_DAY = datetime(2026, 11, 2, 18, tzinfo=UTC)


def fleetlake(*words: str, environment: dict[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
    machine = {"PATH": "/usr/bin:/bin", "HOME": str(Path.home()), "COLUMNS": "200"}
    return subprocess.run(
        [sys.executable, "-m", "cli.main", *words],
        env=machine | (environment or {}),
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("trail", "d", "--region", "mars", *DAY), "no region 'mars'"),
        (("trail", "d", "--region", "eu", "--from", "2026-11-02T08:00:00", "--to", "2026-11-03"), "has no offset"),
        (("trail", "d", "--region", "eu", "--from", "2026-11-03", "--to", "2026-11-02"), "is not after"),
        (("trail", "--region", "eu", *DAY), "name a device"),
        (
            ("trail", "d", "--devices", "no-such-file", "--region", "eu", *DAY),
            "cannot read device ids from no-such-file",
        ),
        (("trail", "d", "--columns", "lat,odo", "--region", "eu", *DAY), "no field odo; a record has"),
        (("schema", "--region", "mars"), "no region 'mars'"),
        (("bench", "nothing"), "no benchmark 'nothing'; there are"),
    ],
)
def test_misuse_is_told_and_ends_with_2(words: tuple[str, ...], said: str) -> None:
    ended = fleetlake(*words)
    assert ended.returncode == 2
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr


def test_the_check_that_names_unreadable_objects_is_one_that_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    found = SimpleNamespace(missing=(), restricted=0, unreadable=2)
    tell_what_is_missing(found, "eu")
    named = re.search(r"the check (\w+) of the asset history names them", capsys.readouterr().err)
    assert named and hasattr(assets.checks, named[1])


@pytest.mark.parametrize("command", [("trail", "d", *DAY), ("reconcile",)])
def test_a_stack_that_is_down_is_told_and_ends_with_1(tmp_path: Path, command: tuple[str, ...]) -> None:
    ended = fleetlake(*command, "--region", "eu", environment={"FLEETLAKE_STATE": str(tmp_path)})
    assert ended.returncode == 1
    assert "fleetlake up" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_store_that_does_not_answer_is_named(stack: Any) -> None:
    environment = stack.environment("us")
    environment["FLEETLAKE_POSTGRES_DSN"] = "postgresql://us:x@127.0.0.1:1/fleet_us"
    ended = fleetlake("trail", "cli-nobody", "--region", "us", *DAY, environment=environment)
    assert ended.returncode == 1
    assert "Postgres of region us does not answer" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_trail_without_redis_is_told_from_the_other_stores_and_says_so(stack: Any) -> None:
    environment = stack.environment("us")
    environment["FLEETLAKE_REDIS_URL"] = "redis://us:x@127.0.0.1:1/0"
    ended = fleetlake("trail", "cli-nobody", "--region", "us", *DAY, "--json", environment=environment)
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["missing"] == ["Redis"]
    assert "Redis of region us does not answer" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--region", "all", "--accept-loss", "all", "--who", "ana", "--why", "x"), "for one region: name it"),
        (("--region", "us", "--accept-loss", "all", "--why", "x"), "needs --who NAME and --why REASON"),
    ],
)
def test_a_loss_is_accepted_in_one_region_by_someone_for_a_reason(words: tuple[str, ...], said: str) -> None:
    ended = fleetlake("reconcile", *words)
    assert ended.returncode == 2
    assert said in ended.stderr


def test_a_loss_that_was_not_found_cannot_be_accepted(stack: Any) -> None:
    words = ("reconcile", "--region", "us", "--accept-loss", "trimmed:no/1", "--who", "ana", "--why", "x")
    ended = fleetlake(*words, environment=stack.environment("us"))
    assert ended.returncode == 2
    assert "did not find the loss trimmed:no/1" in ended.stderr


def test_an_unknown_device_has_an_empty_trail(stack: Any, tmp_path: Path) -> None:
    words = ("trail", "cli-nobody", "--region", "us", *DAY, "--format", "jsonl", "--output", str(tmp_path / "t.jsonl"))
    ended = fleetlake(*words, "--json", environment=stack.environment("us"))
    assert ended.returncode == 0, ended.stderr
    report = json.loads(ended.stdout)
    assert report["records"] == 0
    assert set(report) == {"records", "sources", "files_read", "bytes_read", "seconds"}
    assert (tmp_path / "t.jsonl").read_bytes() == b""


def landed(stack: Any, devices: int) -> list[str]:
    """One record each of devices of their own, in landing."""
    landing = Landing(stack.settings("us"), sequence=int(time.time() * 1000))
    names = sorted(f"cli-{uuid4().hex[:8]}" for _ in range(devices))
    landing.land([landing_row(name, ON_DAY, name, lat=48.0 + n, lon=11.0) for n, name in enumerate(names)])
    return names


def test_several_devices_come_page_by_page(stack: Any, tmp_path: Path) -> None:
    names = landed(stack, 5)
    ids = tmp_path / "ids.txt"
    ids.write_text("\n".join(names[2:]) + "\n")
    words = ("trail", names[0], "--device", names[1], "--devices", str(ids), "--region", "us", *DAY, "--limit", "2")
    environment, pages, after = stack.environment("us"), [], ()
    while True:
        page = tmp_path / f"{len(pages)}.jsonl"
        ended = fleetlake(*words, *after, "--json", "--output", str(page), environment=environment)
        assert ended.returncode == 0, ended.stderr
        report = json.loads(ended.stdout)
        pages.append([json.loads(line)["device_id"] for line in page.read_text().splitlines()])
        if "next" not in report:
            break
        after = ("--after", report["next"])
    assert pages == [names[0:2], names[2:4], names[4:]]


def test_several_devices_are_told_apart_in_every_form(stack: Any, tmp_path: Path) -> None:
    first, second = landed(stack, 2)
    words = ("trail", first, "--device", second, "--region", "us", *DAY)
    environment = stack.environment("us")
    for form in ("csv", "geojson", "gpx", "jsonl", "table"):
        ended = fleetlake(*words, "--format", form, environment=environment)
        assert ended.returncode == 0, ended.stderr
        assert first in ended.stdout
        assert second in ended.stdout
    page = tmp_path / "map.html"
    ended = fleetlake(*words, "--map", "--output", str(page), environment=environment)
    assert ended.returncode == 0, ended.stderr
    assert page.read_text().count(f">{second}<") >= 2


def test_a_cursor_that_no_page_gave_is_misuse(stack: Any) -> None:
    ended = fleetlake("trail", "d", "--region", "us", *DAY, "--after", "abc", environment=stack.environment("us"))
    assert ended.returncode == 2
    assert "hand back the text that the page before gave" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_tables_that_have_the_contract_s_columns_are_said_so(stack: Any) -> None:
    environment = stack.environment("us")
    for words in (("--apply",), ()):
        ended = fleetlake("schema", "--region", "us", *words, environment=environment)
        assert ended.returncode == 0, ended.stderr
    assert "The tables of us have the contract's columns" in ended.stdout
    ended = fleetlake("schema", "--region", "us", "--json", environment=environment)
    assert json.loads(ended.stdout) == {"region": "us", "ok": True, "applied": False, "differences": []}


def test_a_file_that_cannot_be_written_is_misuse(stack: Any, tmp_path: Path) -> None:
    words = ("trail", "cli-nobody", "--region", "us", *DAY, "--output", str(tmp_path / "no" / "t.csv"))
    ended = fleetlake(*words, "--format", "csv", environment=stack.environment("us"))
    assert ended.returncode == 2
    assert "cannot write" in ended.stderr


def test_reconcile_reports_stages_and_ends_as_they_agree(stack: Any) -> None:
    ended = fleetlake("reconcile", "--region", "us", "--json", environment=stack.environment("us"))
    document = json.loads(ended.stdout)
    stages = {"stream", "landed", "rejected", "suppressed", "history", "duplicates", "device_day", "marts"}
    assert stages <= set(document["stages"])
    assert document["region"] == "us"
    assert document["ok"] == (document["differences"] == [])
    assert ended.returncode == (0 if document["ok"] else 1)


def test_each_benchmark_is_found_by_its_module() -> None:
    assert {"consumer", "trail", "soak"} <= set(benchmarks())
    by_name_only = {"autoscale", "drill", "erase", "growth", "roles", "serve_outages", "soak", "trips", "whole"}
    assert set(benchmarks()) - set(of_all()) == by_name_only, (
        "half an hour is too long for `all`, or it needs real data"
    )
