"""Misuse is told in a sentence and ends with 2, before anyone asks whether the stack is up."""

import re
from importlib import import_module
from pathlib import Path

import pytest
import typer

from cli.main import COMMANDS
from contracts.errors import Misuse, StackDown, UnknownRegion

SIMULATE = ("simulate", "--region", "eu")


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rows") / "rows.csv"
    path.write_text("device_id,ts\na,1700000000000\n")
    return path


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> typer.Typer:
    """The command line where no stack is up."""
    monkeypatch.setenv("FLEETLAKE_STATE", str(tmp_path))
    monkeypatch.delenv("FLEETLAKE_REGION", raising=False)
    app = typer.Typer()
    for name in COMMANDS:
        import_module(f"cli.{name}").add_to(app)
    return app


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--start", "2026-11-18T00:00:00"), "has no zone"),
        (("--start", "0001-01-01T00:00:00+05:00"), "no record may be older"),
        (("--start", "9999-12-31T23:59:59-05:00"), "runs ahead of the clock"),
        (("--start", "2026-11-18T00:00:00Z", "--hours", "9000"), "--hours 9000: give more than 0"),
        (("--hours", "1e9"), "--hours 1e+09: give more than 0, at most 8784"),
        (("--hours", "-5"), "--hours -5: give more than 0"),
        (("--hours", "nan"), "--hours nan: give more than 0"),
        (("--devices", "0"), "--devices 0: give 1 to 9999"),
        (("--seed", "-1"), "--seed -1: give 0 or more"),
        (("--mess", "--mess-share", "2"), "is no share of records"),
        (("--rate", "0"), "--rate '0' is no rate"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_cannot_be_simulated_is_misuse_with_the_stack_down(
    command: typer.Typer, words: tuple[str, ...], said: str
) -> None:
    with pytest.raises(Misuse, match=re.escape(said)):
        command([*SIMULATE, *words], standalone_mode=False)


def test_the_slowest_of_rates_is_no_error_of_its_own(command: typer.Typer) -> None:
    with pytest.raises(StackDown, match="fleetlake up"):
        command([*SIMULATE, "--rate", "1e-300"], standalone_mode=False)


@pytest.mark.parametrize(
    "words",
    [
        *((command, "--region", "nosuch") for command in ("simulate", "process", "consume", "reconcile")),
        *(("replay", "ROWS", "--region", region) for region in ("nosuch", "all")),
    ],
    ids=" ".join,
)
def test_an_unknown_region_is_misuse_with_the_stack_down(
    command: typer.Typer, rows: Path, words: tuple[str, ...]
) -> None:
    with pytest.raises(UnknownRegion, match=f"no region '{words[-1]}'"):
        command([str(rows) if word == "ROWS" else word for word in words], standalone_mode=False)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "name a rule"),
        (("--stop-s", "0"), "--stop-s '0': give whole seconds, 1 or more"),
        (("--gap-s", "1.5"), "--gap-s '1.5': give whole seconds"),
        (("--least-m", "nan"), "--least-m 'nan': give a number, 0 or more"),
        (("--least-s", "inf"), "--least-s 'inf': give a number"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_rules_that_no_fleet_can_have_are_misuse(command: typer.Typer, words: tuple[str, ...], said: str) -> None:
    with pytest.raises(Misuse, match=re.escape(said)):
        command(["fleet", "rules", "north", "--region", "eu", *words], standalone_mode=False)
