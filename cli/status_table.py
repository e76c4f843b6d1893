"""The tables of `fleetlake status`."""

from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cli.tables import figure, key, open_console, print_table

_COUNTS = {
    "acknowledged": "acked",
    "landed": "landed",
    "rejected": "rejected",
    "history": "history",
    "live_devices": "live",
}


def show(found: dict[str, Any], console: Console | None = None) -> None:
    """Print services and regions. `?`: the store did not answer. `many`: the backlog is too long to be counted."""
    console = console or open_console()
    colours = {"up": "green", "down": "red", "failing": "yellow"}
    services = "  ".join(f"{name} [{colours[how]}]{how}[/]" for name, how in found["services"].items())
    console.print(f"[bold]{found['state']}[/]  {services}")
    for problem in found["problems"]:
        console.print(f"[yellow]{escape(problem)}[/]", highlight=False)
    if not found["regions"]:
        return
    print_table(_regions(found["regions"]), console)
    for name, row in found["regions"].items():
        for problem in row["problems"]:
            console.print(f"[yellow]{name}[/] {problem}", highlight=False)
    console.print("Where to connect, with credentials: fleetlake status --json --secrets", style="dim", highlight=False)


def _regions(regions: dict[str, Any]) -> Table:
    figures = map(figure, ("lag", "backlog", "watermark", *_COUNTS.values()))
    table = Table(key("region"), *figures, box=None, pad_edge=False)
    for name, row in regions.items():
        counts = (_number(row["counts"].get(count)) for count in _COUNTS)
        table.add_row(name, _seconds(row["lag_ms"]), _backlog(row), _time(row["watermark"]), *counts)
    return table


def _number(value: int | None) -> str:
    return "?" if value is None else f"{value:,}"


def _backlog(row: dict[str, Any]) -> str:
    many = row["backlog_records"] is None and row["lag_ms"] is not None
    return "many" if many else _number(row["backlog_records"])


def _seconds(lag_ms: int | None) -> str:
    return "?" if lag_ms is None else f"{lag_ms / 1000:,.1f} s"


def _time(watermark: str | None) -> str:
    return "-" if watermark is None else f"{datetime.fromisoformat(watermark).astimezone(UTC):%m-%d %H:%M}Z"
