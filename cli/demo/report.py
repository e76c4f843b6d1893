"""The demo's report as a document: the counts of each stage, the time of each step, and the highlights."""

import json
import subprocess
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg

import stack
from cli.demo.steps import StepFailed, Steps
from cli.demo.usage import UsageMonitor
from cli.environment import process_environment
from contracts.regions import WORLD, Region
from stack.environments import bi_dsn

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


def gather(state: Path, folder: Path, steps: Steps, usage: UsageMonitor) -> dict[str, Any]:
    """The whole report, which can be written as JSON. `ok`: every region reconciles."""
    site = stack.running_site(state)
    found = {step.region: step.document for step in steps.done if step.name == "reconcile"}
    results = {region: found[region] for region in site.regions if region in found}
    shown = nearest_noon([site.regions[name] for name in results], datetime.now(UTC))
    document = {
        "ok": all(result["ok"] for result in results.values()),
        "seconds": round(steps.elapsed_s(), 1),
        "processor_s": round(usage.processor_s, 1),
        "peak_memory_gib": round(usage.peak_bytes / 2**30, 2),
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
        "gateway": told_by_gateway(steps),
        "highlights": _highlights(bi_dsn(site, shown), shown, folder),
        "fleet_day": {"region": shown, "query": FLEETS, "rows": _query(bi_dsn(site, shown), FLEETS)},
        "world": {"query": WORLD_TOTALS, "rows": _query(bi_dsn(site, WORLD), WORLD_TOTALS)},
    }
    (folder / "report.json").write_text(json.dumps(document, indent=2, default=str), encoding="utf-8")
    return document


def told_by_gateway(steps: Steps) -> dict[str, Any]:
    """What the gateway answered to the devices of the region that went through it; nothing where none did."""
    answers = [(step, step.document["gateway"]) for step in steps.done if "gateway" in step.document]
    return {"region": answers[0][0].region, "via": answers[0][0].document["via"], **answers[0][1]} if answers else {}


def nearest_noon(regions: Iterable[Region], now: datetime) -> str:
    """The region whose local time is nearest to midday: its devices are on the road."""

    def hours_from_noon(region: Region) -> float:
        there = now.astimezone(region.zone)
        return abs(there.hour + there.minute / 60 - 12)

    return min(regions, key=hours_from_noon).name


def _highlights(dsn: str, region: str, folder: Path) -> dict[str, Any]:
    """Live state and a device's day, read by a process of that region: this one only has bi_reader's credentials."""
    rows = _query(dsn, _LONGEST_DAY)
    if not rows:
        return {}
    file = folder / "device-day.html"
    words = [sys.executable, "-m", "cli.demo.highlights", str(file), rows[0]["device_id"], rows[0]["day"]]
    log = folder / "logs" / f"highlights-{region}.log"
    with log.open("wb") as messages:
        done = subprocess.run(
            words, env=process_environment(region), stdout=subprocess.PIPE, stderr=messages, check=False
        )
    if done.returncode != 0:
        raise StepFailed(f"drawing a device's day failed; its log is {log}")
    highlights: dict[str, Any] = json.loads(done.stdout)
    return highlights


def _query(dsn: str, query: str) -> list[dict[str, Any]]:
    with psycopg.connect(dsn, row_factory=psycopg.rows.dict_row) as connection:
        return connection.execute(query.encode()).fetchall()
