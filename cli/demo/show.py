"""The demo's report as a person reads it."""

import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Column, Table

from cli.tables import aligned, figure, key, open_console, print_table
from contracts.regions import WORLD

STEPS = ("up", "simulate", "consume", "process", "reconcile")
SUMS = (
    "acknowledged <= stream",
    "stream = landed + rejected + suppressed",
    "landed = history + duplicates + unmerged",
    "history = device_day + underived",
    "device_day = marts + unloaded",
)
"""What reconciliation holds, in words that are also evaluated."""
_LIVE_FIELDS = {"device_id": key, "ts": key, "lat": figure, "lon": figure, "speed_kmh": figure, "engine_on": key}


def show(document: dict[str, Any]) -> None:
    """Print the report on standard output."""
    console = open_console()
    console.print()
    console.print("[bold]Where the time went, in seconds")
    print_table(_time_table(document), console)
    console.print(
        f"{document['seconds']:.0f} s in all, two regions at a time, {document['processor_s']:.0f} s of processor "
        f"time; at most {document['peak_memory_gib']:.1f} GiB of memory for everything together.\n"
    )
    console.print("[bold]User records by stage, each counted from its own store")
    print_table(_stage_table(document["regions"]), console)
    if document["gateway"]:
        counted = document["regions"][document["gateway"]["region"]]["stages"]["acknowledged"]
        console.print(through_gateway(document["gateway"], counted), soft_wrap=True, highlight=False)
    for region, result in document["regions"].items():
        for sentence in [*result["notes"], *(f"DIFFERENCE {text}" for text in result["differences"])]:
            console.print(f"[{region}] {sentence}", markup=False, soft_wrap=True)
    console.print()
    _show_highlights(console, document)
    shown = document["fleet_day"]["region"]
    _show_query(console, f"A mart, read by bi_reader_{shown} in fleet_{shown}", document["fleet_day"])
    _show_query(console, "The world, from what the regions released", document["world"])
    _show_next(console, document)


def _time_table(document: dict[str, Any]) -> Table:
    regions = [*document["regions"], WORLD]
    table = Table(key("step"), *map(figure, regions))
    taken = {(step["step"], step["region"]): step["seconds"] for step in document["steps"]}
    for name in STEPS:
        cells = [f"{taken[name, region]:.1f}" if (name, region) in taken else "" for region in regions]
        table.add_row(name, *([f"{taken[name, '']:.1f}"] if (name, "") in taken else cells))
    return table


def _stage_table(results: dict[str, Any]) -> Table:
    table = Table(key("stage"), *map(figure, results), figure("all"))
    for stage in next(iter(results.values()))["stages"]:
        counts = [result["stages"][stage] for result in results.values()]
        table.add_row(stage, *(f"{count:,}" for count in (*counts, sum(counts))))
    table.add_section()
    for sentence in SUMS:
        held = [_holds(sentence, result["stages"]) for result in results.values()]
        table.add_row(sentence, *("[green]yes" if one else "[red]no" for one in (*held, all(held))))
    agree = [result["ok"] for result in results.values()]
    table.add_row("[bold]every check agrees", *("[green]yes" if one else "[red]no" for one in (*agree, all(agree))))
    return table


def _holds(sentence: str, stages: dict[str, int]) -> bool:
    whole, sign, parts = sentence.split(" ", 2)
    held = sum(_count(part, stages) for part in parts.split(" + "))
    return _count(whole, stages) <= held if sign == "<=" else _count(whole, stages) == held


def _count(stage: str, stages: dict[str, int]) -> int:
    """User records of a stage; the stream's are those too that it no longer has, and whose loss was accepted."""
    return stages[stage] + (stages.get("forgotten", 0) if stage == "stream" else 0)


def through_gateway(told: dict[str, Any], counted: int) -> str:
    """What the devices of one region were told, in a sentence. counted: what the gateway says that it acknowledged."""
    lost = counted - told["acknowledged"]
    again = f" (the gateway acknowledged {lost:,} more, which no device heard)" if lost > 0 else ""
    refused = ", ".join(f"{count:,} {reason}" for reason, count in told["refused"].items()) or "none"
    return (
        f"Devices of {told['region']} spoke {told['via'].upper()} to the gateway: {told['acknowledged']:,} records "
        f"acknowledged in {told['messages']:,} messages{again}; refused: {refused}. "
        f"They slept {told['slept']:,} times, "
        f"changed networks {told['roamed']:,} times, and were cut off {told['reconnects']:,} times."
    )


def _show_highlights(console: Console, document: dict[str, Any]) -> None:
    highlights = document["highlights"]
    if not highlights:
        return
    live = highlights["live"]
    console.print(
        f"[bold]Live state: {live['devices']} devices in Redis as {live['key']}; the fastest of those heard from last"
    )
    table = Table(*(column(name) for name, column in _LIVE_FIELDS.items()))
    _add_rows(table, [[record.get(name) for record in live["newest"]] for name in _LIVE_FIELDS])
    print_table(table, console)
    trail = highlights["trail"]
    console.print(
        f"\nOne device's day: {highlights['device']} on {highlights['day']}, {trail['records']:,} records, "
        f"{highlights['trips']} trips, found in {trail['seconds'] * 1000:.0f} ms by reading "
        f"{trail['bytes_read'] / 1e6:.1f} MB of {trail['files_read']} files. Its map: {highlights['map']}\n",
        soft_wrap=True,
        highlight=False,
    )


def _show_query(console: Console, title: str, answer: dict[str, Any]) -> None:
    console.print(f"[bold]{title}")
    console.print(answer["query"], style="dim", markup=False, highlight=False)
    rows = answer["rows"]
    if not rows:
        console.print("no rows yet\n")
        return
    table = Table(*(_column(name, value) for name, value in rows[0].items()))
    _add_rows(table, [[row[name] for row in rows] for name in rows[0]])
    print_table(table, console)
    console.print()


def _add_rows(table: Table, columns: list[list[Any]]) -> None:
    cells = (
        aligned(values, most=6, grouped=True)
        if any(map(_is_number, values))
        else ["" if value is None else str(value) for value in values]
        for values in columns
    )
    for row in zip(*cells, strict=True):
        table.add_row(*row)


def _column(name: str, value: Any) -> Column:
    return figure(name) if _is_number(value) else key(name)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def _show_next(console: Console, document: dict[str, Any]) -> None:
    highlights = document["highlights"]
    console.print("[bold]Where to look next")
    places = {
        "make map": "the live map of every region, at an address that it prints",
        "make ui": "Dagster: assets, partitions, checks and runs of every region",
        f". {_activate()}": "puts fleetlake on this shell's PATH",
        "fleetlake status": "backlog, lag and counts; with --json --secrets what your own client connects with",
        "fleetlake down": "ends the services; the data stays",
    }
    wide = max(map(len, places))
    for words, what in places.items():
        console.print(f"  {words:<{wide}}  {what}", soft_wrap=True, highlight=False)
    if highlights:
        span = f"--from {highlights['day']} --to {highlights['day']}"
        words = f"  fleetlake trail {highlights['device']} --region {highlights['region']} {span}"
        console.print(words, soft_wrap=True, highlight=False)
    console.print()
    if not document["ok"]:
        console.print("[red]The stages do not agree; the differences above say where.")


def _activate() -> str:
    """The script that puts this installation's programs on a shell's PATH, as seen from here where it is below."""
    script = Path(sys.prefix) / "bin" / "activate"
    return str(script.relative_to(Path.cwd()) if script.is_relative_to(Path.cwd()) else script)
