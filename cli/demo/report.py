"""The demo's report: what went where, how long it took, and what there is to see."""

import json
import subprocess
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
from rich.console import Console
from rich.table import Table

import stack
from cli.demo.steps import StepFailed, Steps, Watch
from cli.environment import process_environment
from contracts.regions import WORLD, Region
from stack.environments import bi_dsn

WIDTH = 120
STEPS = ("up", "simulate", "consume", "process", "reconcile")
FLEETS = """select fleet_id, day, devices_reporting as reporting, devices_active as active,
       round((100 * utilisation_engine_s / nullif(utilisation_available_s, 0))::numeric, 1) as engine_on_pct,
       round(distance_gps_km::numeric) as km, trips
from marts.fleet_day
where day = (select max(day) from marts.fleet_day where day < (select max(day) from marts.fleet_day))
order by fleet_id"""
WORLD_TOTALS = """select region, day, devices, records, engine_h, moving_h, distance_km
from marts.daily_total
order by day desc, region limit 8"""
_LONGEST_DAY = """select device_id, day::text from marts.device_day where trips > 1
order by trips between 3 and 9 desc, distance_gps_km desc, device_id, day limit 1"""


def gather(state: Path, folder: Path, steps: Steps, watch: Watch) -> dict[str, Any]:
    """The whole report as JSON-able values. `ok` where every region reconciles."""
    site = stack.running_site(state)
    found = {step.region: step.document for step in steps.done if step.name == "reconcile"}
    results = {region: found[region] for region in site.regions if region in found}
    shown = nearest_noon([site.regions[name] for name in results], datetime.now(UTC))
    document = {
        "ok": all(result["ok"] for result in results.values()),
        "seconds": round(steps.elapsed_s(), 1),
        "processor_s": round(watch.processor_s, 1),
        "peak_memory_gib": round(watch.peak_bytes / 2**30, 2),
        "steps": [
            {
                "step": step.name,
                "region": step.region,
                "began_s": round(step.began_s, 1),
                "seconds": round(step.seconds, 1),
            }
            for step in steps.done
        ],
        "regions": results,
        "sights": _sights(bi_dsn(site, shown), shown, folder),
        "fleet_day": {"region": shown, "query": FLEETS, "rows": _query(bi_dsn(site, shown), FLEETS)},
        "world": {"query": WORLD_TOTALS, "rows": _query(bi_dsn(site, WORLD), WORLD_TOTALS)},
    }
    (folder / "report.json").write_text(json.dumps(document, indent=2, default=str), encoding="utf-8")
    return document


def nearest_noon(regions: Iterable[Region], now: datetime) -> str:
    """The region to show more of: where it is nearest to midday, devices are on their way."""

    def hours_from_noon(region: Region) -> float:
        there = now.astimezone(region.zone)
        return abs(there.hour + there.minute / 60 - 12)

    return min(regions, key=hours_from_noon).name


def show(document: dict[str, Any]) -> None:
    """Print it for a person: as wide as the terminal, and wide enough for its tables where there is none."""
    console = Console() if sys.stdout.isatty() else Console(width=WIDTH)
    console.print()
    console.print("[bold]Where the time went, in seconds")
    console.print(_time_table(document))
    console.print(
        f"{document['seconds']:.0f} s in all, two regions at a time, {document['processor_s']:.0f} s of processor "
        f"time; at most {document['peak_memory_gib']:.1f} GiB of memory for everything together.\n"
    )
    console.print("[bold]User records by stage, each counted from its own store")
    console.print(_stage_table(document["regions"]))
    for region, result in document["regions"].items():
        for sentence in [*result["notes"], *(f"DIFFERENCE {text}" for text in result["differences"])]:
            console.print(f"[{region}] {sentence}", markup=False, soft_wrap=True)
    console.print()
    _show_sights(console, document)
    _show_query(console, f"A mart, read by bi_reader in fleet_{document['fleet_day']['region']}", document["fleet_day"])
    _show_query(console, "The world, from what the regions released", document["world"])
    _show_next(console, document)


def _time_table(document: dict[str, Any]) -> Table:
    table = Table()
    regions = [*document["regions"], WORLD]
    table.add_column("step")
    for region in regions:
        table.add_column(region, justify="right")
    taken = {(step["step"], step["region"]): step["seconds"] for step in document["steps"]}
    for name in STEPS:
        cells = [f"{taken[name, region]:.1f}" if (name, region) in taken else "" for region in regions]
        table.add_row(name, *([f"{taken[name, '']:.1f}"] if (name, "") in taken else cells))
    return table


def _stage_table(results: dict[str, Any]) -> Table:
    table = Table()
    table.add_column("stage", no_wrap=True)
    for region in results:
        table.add_column(region, justify="right")
    table.add_column("all", justify="right")
    for stage in next(iter(results.values()))["stages"]:
        counts = [result["stages"][stage] for result in results.values()]
        table.add_row(stage, *(f"{count:,}" for count in (*counts, sum(counts))))
    table.add_section()
    for sentence in (
        "stream = landed + rejected + suppressed",
        "landed = history + duplicates + unmerged",
        "history = device_day + underived",
        "device_day = marts + unloaded",
    ):
        held = [_holds(sentence, result["stages"]) for result in results.values()]
        table.add_row(sentence, *("[green]yes" if one else "[red]no" for one in (*held, all(held))))
    agree = [result["ok"] for result in results.values()]
    table.add_row("[bold]every check agrees", *("[green]yes" if one else "[red]no" for one in (*agree, all(agree))))
    return table


def _holds(sentence: str, stages: dict[str, int]) -> bool:
    whole, parts = sentence.split(" = ")
    return stages[whole] == sum(stages[part] for part in parts.split(" + "))


def _show_sights(console: Console, document: dict[str, Any]) -> None:
    sights = document["sights"]
    if not sights:
        return
    live = sights["live"]
    console.print(
        f"[bold]Live state: {live['devices']} devices in Redis as {live['key']}; the fastest of those heard from last"
    )
    table = Table()
    for name in ("device_id", "ts", "lat", "lon", "speed_kmh", "engine_on"):
        table.add_column(name, no_wrap=True)
    for record in live["newest"]:
        table.add_row(*(str(record.get(name, "")) for name in _headings(table)))
    console.print(table)
    trail = sights["trail"]
    console.print(
        f"\nOne device's day: {sights['device']} on {sights['day']}, {trail['records']:,} records, "
        f"{sights['trips']} trips, found in {trail['seconds'] * 1000:.0f} ms by reading "
        f"{trail['bytes_read'] / 1e6:.1f} MB of {trail['files_read']} files. Its map: {sights['map']}\n",
        soft_wrap=True,
        highlight=False,
    )


def _headings(table: Table) -> list[str]:
    """The headings of a table."""
    return [str(column.header) for column in table.columns]


def _show_query(console: Console, title: str, answer: dict[str, Any]) -> None:
    console.print(f"[bold]{title}")
    console.print(answer["query"], style="dim", markup=False, highlight=False)
    rows = answer["rows"]
    if not rows:
        console.print("no rows yet\n")
        return
    table = Table(*rows[0])
    for row in rows:
        table.add_row(
            *("" if value is None else f"{value:,}" if _is_number(value) else str(value) for value in row.values())
        )
    console.print(table)
    console.print()


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def _show_next(console: Console, document: dict[str, Any]) -> None:
    sights = document["sights"]
    console.print("[bold]Where to look next")
    console.print("  make ui        Dagster: assets, partitions, checks and runs of every region")
    console.print(f"  . {_activate()}    puts fleetlake on this shell's PATH", highlight=False)
    console.print(
        "  fleetlake status    endpoints, backlog and watermarks; add --secrets to connect with your own client"
    )
    if sights:
        span = f"--from {sights['day']} --to {sights['day']}"
        words = f"  fleetlake trail {sights['device']} --region {sights['region']} {span}"
        console.print(words, soft_wrap=True, highlight=False)
    console.print("  fleetlake down      ends the services; the data stays\n")
    if not document["ok"]:
        console.print("[red]The stages do not agree; the differences above say where.")


def _activate() -> str:
    """The script that puts this installation's programs on a shell's PATH, as seen from here where it is below."""
    script = Path(sys.prefix) / "bin" / "activate"
    return str(script.relative_to(Path.cwd()) if script.is_relative_to(Path.cwd()) else script)


def _sights(dsn: str, region: str, folder: Path) -> dict[str, Any]:
    """In a process of that region: this one holds no region's credentials but bi_reader's."""
    rows = _query(dsn, _LONGEST_DAY)
    if not rows:
        return {}
    file = folder / "device-day.html"
    words = [sys.executable, "-m", "cli.demo.highlights", str(file), rows[0]["device_id"], rows[0]["day"]]
    log = folder / "logs" / f"sights-{region}.log"
    with log.open("wb") as messages:
        done = subprocess.run(
            words, env=process_environment(region), stdout=subprocess.PIPE, stderr=messages, check=False
        )
    if done.returncode != 0:
        raise StepFailed(f"drawing a device's day failed; its log is {log}")
    sights: dict[str, Any] = json.loads(done.stdout)
    return sights


def _query(dsn: str, query: str) -> list[dict[str, Any]]:
    with psycopg.connect(dsn, row_factory=psycopg.rows.dict_row) as connection:
        return connection.execute(query.encode()).fetchall()
