"""`trail`, `reconcile` and `bench` as a user meets them: answers, messages and exit codes."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cli.bench import benchmarks, of_all

PROJECT = Path(__file__).resolve().parents[2]
DAY = ("--from", "2026-11-02", "--to", "2026-11-02")


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
        (("bench", "nothing"), "no benchmark 'nothing'; there are"),
    ],
)
def test_misuse_is_told_and_ends_with_2(words: tuple[str, ...], said: str) -> None:
    ended = fleetlake(*words)
    assert ended.returncode == 2
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr


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
    assert set(benchmarks()) - set(of_all()) == {"soak"}, "half an hour is too long for `all`"
