"""`fleetlake process`: launches the runs that the sensors would, and waits for them."""

import json
import signal
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any

import typer

from cli.child_processes import ChildProcesses
from cli.environment import ALL, dagster_environment, each_region, enter_region, process_environment
from contracts.regions import WORLD

AT_A_TIME = 2
"""Regions processed at the same time: each has a Spark session of 2 GiB."""


def add_to(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def process(
        region: Annotated[str, typer.Option(help="A region, 'world', or 'all': every region, then world.")] = ALL,
        as_json: Annotated[bool, typer.Option("--json", help="Print a document instead of a table.")] = False,
        at_a_time: Annotated[int, typer.Option(min=1, help="Regions processed at the same time.")] = AT_A_TIME,
    ) -> None:
        """Bring history, trips, marts and releases up to date with what has landed, and say what was run."""
        documents = _in_processes(at_a_time) if region == ALL else [_here(region)]
        ok = all(document["ok"] for document in documents)
        if as_json:
            whole = {"ok": ok, "regions": {document["region"]: document for document in documents}}
            typer.echo(json.dumps(documents[0] if region != ALL else whole))
        else:
            _table(documents)
        if not ok:
            _print_errors(documents)
            raise typer.Exit(1)


def _here(region: str) -> dict[str, Any]:
    """Process the region in this process, which first takes the environment of that region and Dagster's alone."""
    enter_region(region, with_dagster=True)
    import msgspec

    from cli.store_errors import naming_the_store
    from orchestration.local.entry_point import run

    with naming_the_store(region):
        document: dict[str, Any] = msgspec.to_builtins(run(region))
    return document


def _in_processes(at_a_time: int) -> list[dict[str, Any]]:
    """Process each region in a process with its own environment only; world last, as it reads the others' releases.

    On SIGTERM or Ctrl-C the processes are terminated, and the result of each is reported.
    """
    dagster, regions = dagster_environment(), each_region(ALL)
    with ChildProcesses() as children, ThreadPoolExecutor(at_a_time) as pool:
        documents = list(pool.map(lambda name: _start(children, name, dagster), regions))
        return [*documents, _start(children, WORLD, dagster)]


def _start(children: ChildProcesses, name: str, dagster: dict[str, str]) -> dict[str, Any]:
    if children.ending:
        return _without_report(name, "not started: asked to end")
    last: list[str] = []
    with children.start(["process", "--json"], name, process_environment(name) | dagster) as child:
        messages = threading.Thread(target=_pass_on, args=(name, child, last))
        messages.start()
        out = child.stdout.read() if child.stdout else ""
        messages.join()
    lines = out.strip().splitlines()
    if lines and lines[-1].startswith("{"):
        document: dict[str, Any] = json.loads(lines[-1])
        return document
    if child.returncode < 0:
        return _without_report(name, f"ended by {signal.Signals(-child.returncode).name}; the next one carries on")
    return _without_report(name, last[-1] if last else "no report")


def _without_report(name: str, error: str) -> dict[str, Any]:
    return {"region": name, "ok": False, "runs": [], "seconds": 0.0, "error": error}


def _pass_on(name: str, child: "subprocess.Popen[str]", last: list[str]) -> None:
    for line in child.stderr or ():
        if line.strip():
            last[:] = [line.rstrip()]
            typer.echo(f"[{name}] {line.rstrip()}", err=True)


def _table(documents: list[dict[str, Any]]) -> None:
    from rich.table import Table

    from cli.tables import figure, key, print_table, text

    work = key("region"), key("work"), key("partitions"), figure("assets"), figure("seconds")
    table = Table(*work, text("where the time went"), text("result"))
    for document in documents:
        for run in document["runs"]:
            span = run["first"] if run["first"] == run["last"] else f"{run['first']} to {run['last']}"
            slowest = sorted(run["steps"].items(), key=lambda item: -item[1])[:3]
            result = "done" if run["ok"] else f"failed: {run['error']}"
            for what, checks in (("checks failed", run["failed_checks"]), ("warnings", run["warnings"])):
                result += f"; {what}: {', '.join(checks)}" if checks else ""
            times = ", ".join(f"{step.split('__')[0]} {seconds:.1f}" for step, seconds in slowest)
            table.add_row(
                document["region"], run["work"], span, str(run["assets"]), f"{run['seconds']:.1f}", times, result
            )
        if not document["runs"]:
            done = "by the daemon" if document.get("by_daemon") else "nothing was due"
            said = done if document["ok"] else "not done"
            table.add_row(document["region"], "", "", "", f"{document['seconds']:.1f}", "", said)
    print_table(table)


def _print_errors(documents: list[dict[str, Any]]) -> None:
    for document in documents:
        if not document["ok"]:
            typer.secho(f"fleetlake: {document['region']}: {document['error']}", err=True, fg=typer.colors.RED)
