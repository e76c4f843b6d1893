"""`fleetlake demo`: the whole system on this machine with simulated fleets, then a report."""

import json
import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor, as_completed
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import stack
from cli.environment import state_folder
from contracts.regions import WORLD

if TYPE_CHECKING:
    from cli.demo.plan import Window
    from cli.demo.steps import Steps

AT_A_TIME = 2
"""Regions worked on at the same time: each has a Spark session."""
_SETTINGS = {"FLEETLAKE_RELEASE_DELAY_DAYS": "0", "FLEETLAKE_SPARK_MEMORY": "1g", "PYTHONUNBUFFERED": "1"}
"""Unless the caller has set them: yesterday is released today, and two sessions fit into a laptop."""


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("demo")(_demo)


def _demo(
    report: Annotated[Path, typer.Option(help="Folder of the report, the map and the logs.")] = Path("demo_report"),
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Up, some 300,000 records over all regions with the mess of the field, consume, process, reconcile, report.

    Run it again and it still adds up: what was sent before comes again as duplicates, what happened since is new.
    """
    from cli.demo.plan import plan
    from cli.demo.report import gather, show
    from cli.demo.steps import Steps, Watch

    # A demo that is asked to end must not leave its commands behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    state = state_folder().resolve()
    environment = _SETTINGS | dict(os.environ) | {"FLEETLAKE_STATE": str(state)}
    steps = Steps(report / "logs", environment, lambda line: typer.echo(line, err=True))
    regions = list(stack.known_regions(state).values())
    with Watch(state) as watch, ThreadPoolExecutor(AT_A_TIME, thread_name_prefix="demo") as pool:
        try:
            steps.run("up", "", ["up", "--json"])
            windows = plan(regions, state / "demo.json", datetime.now(UTC))
            chains = [pool.submit(_region, steps, name, windows[name]) for name in windows]
            for chain in as_completed(chains):
                chain.result()
            steps.run("process", WORLD, ["process", "--region", WORLD, "--json"])
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            steps.end()
            raise
    document = gather(state, report, steps, watch)
    if as_json:
        typer.echo(json.dumps(document, default=str))
    else:
        show(document)
    sys.stdout.flush()
    if not document["ok"]:
        raise typer.Exit(1)


def _region(steps: "Steps", name: str, window: "Window") -> None:
    """Everything for one region; two of these run at a time, so that one's waiting is the other's work."""
    from cli.demo.plan import SEED

    hours = f"{window.hours(datetime.now(UTC)):.4f}"
    fleet = ["--devices", str(window.devices), "--seed", str(SEED), "--start", window.start.isoformat()]
    steps.run("simulate", name, ["simulate", "--region", name, *fleet, "--hours", hours, "--mess", "--json"])
    steps.run("consume", name, ["consume", "--region", name, "--until-idle", "--json"])
    steps.run("process", name, ["process", "--region", name, "--json"])
    steps.run("reconcile", name, ["reconcile", "--region", name, "--json"], may_fail=True)
