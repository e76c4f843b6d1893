"""`fleetlake bench`: one benchmark with its peers in the same run."""

import ast
import json
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from cli.tables import figure, print_table, text
from contracts.errors import Misuse

if TYPE_CHECKING:
    from bench.rows import Row

ROOT = Path(__file__).resolve().parent.parent
EVERY = "all"
ALONE = ("autoscale", "drill", "erase", "growth", "roles", "serve_outages", "soak", "trips", "whole")
"""Too long for `all`, or in need of data that is not here: run by their names only."""


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("bench")(_bench)


def _bench(
    name: Annotated[str, typer.Argument(help="A benchmark, or 'all', which leaves out what takes long or installs.")],
    as_json: Annotated[bool, typer.Option("--json", help="Report as JSON.")] = False,
) -> None:
    """Run a benchmark and print its figures beside its peers'."""
    known = benchmarks()
    if name != EVERY and name not in known:
        raise Misuse(f"no benchmark {name!r}; there are {', '.join(known)}")
    for chosen in of_all() if name == EVERY else [name]:
        document = _run(chosen)
        if as_json:
            typer.echo(json.dumps(document))
        else:
            print_table(_table(document))


def benchmarks() -> list[str]:
    """The modules of bench/ that define `run`, found without importing them."""
    return sorted(path.stem for path in (ROOT / "bench").glob("*.py") if _defines_run(path))


def of_all() -> list[str]:
    """What `all` stands for."""
    return [name for name in benchmarks() if name not in ALONE]


def _defines_run(path: Path) -> bool:
    body = ast.parse(path.read_text(encoding="utf-8")).body
    return any(isinstance(part, ast.FunctionDef) and part.name == "run" for part in body)


def _run(name: str) -> dict[str, Any]:
    import msgspec

    from bench.machine import machine
    from contracts.logs import log_of_a_command

    log_of_a_command()
    # Benchmarks use the builders of tests/; a library that is installed may bring a package of that name.
    sys.path.insert(0, str(ROOT))
    rows: list[Row] = import_module(f"bench.{name}").run()
    return {"name": name, "machine": machine(), "rows": msgspec.to_builtins(rows)}


def _table(document: dict[str, Any]) -> Table:
    columns = text("what"), figure("value"), text("unit"), text("peer"), figure("peer's value"), figure("ratio")
    table = Table(*columns, title=document["name"], caption=document["machine"])
    for row in document["rows"]:
        table.add_row(
            row["what"],
            _figure(row["value"]),
            row["unit"],
            row["peer"] or "",
            _figure(row["peer_value"]),
            "" if row["ratio"] is None else f"{row['ratio']:.2f}x",
        )
    return table


def _figure(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"  # noqa: PLR2004 - three digits are enough
