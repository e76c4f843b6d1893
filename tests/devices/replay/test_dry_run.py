"""`fleetlake replay FILE --dry-run` sends nothing, and prints the first records and the report."""

import json
from pathlib import Path

import pytest
import typer

import cli.replay
from contracts.errors import BadInputFile, Misuse
from tests.devices.replay.field_files import NOW, csv


def run(*words: str) -> None:
    app = typer.Typer()
    cli.replay.add_to(app)
    app(list(words), standalone_mode=False)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    rows = "".join(f"a,{NOW + n},{'NULL' if n == 3 else n}\n" for n in range(8))
    return csv(tmp_path, "device_id,ts,temp\n" + rows)


def test_it_needs_no_region_and_no_stack(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(str(file), "--dry-run", "--json")
    found = json.loads(capsys.readouterr().out)
    assert [json.loads(line)["ts"] for line in found["first_records"]] == [NOW + n for n in range(5)]
    assert (found["dry_run"], found["records"], found["kinesis_records"]) == (True, 8, 0)
    assert found["decided"]["delimiter"] == ","
    assert found["dropped_values"] == [{"column": "temp", "reason": "null marker", "count": 1}]


def test_people_read_records_as_json_lines_and_a_table(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(str(file), "--dry-run")
    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line)["device_id"] for line in lines[:5]] == ["a"] * 5
    assert any("nothing is sent" in line for line in lines[5:])
    assert any("temp: not sent, null marker" in line for line in lines[5:])


def test_damage_is_found_before_anything_is_sent(tmp_path: Path) -> None:
    with pytest.raises(BadInputFile, match="Expected 2 columns, got 1"):
        run(str(csv(tmp_path, f"device_id,ts\na,{NOW}\na\n")), "--dry-run")


def test_sending_needs_a_region(file: Path) -> None:
    with pytest.raises(Misuse, match="--region is missing"):
        run(str(file))
