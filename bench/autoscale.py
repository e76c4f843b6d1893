"""A day of scale from the template's own policies, beside a fixed fleet; and a short real run that it must predict.

Every region has 50,000 devices at night and 400,000 by day, by its own clock, each with a record every 10 s. A mobile
network goes away in each, one region loses a zone, and one deploys a version whose tasks die.
"""

import os
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from bench.rows import Row
from bench.scaling_run import RealRun, real_run
from contracts.regions import load_regions
from deploy.assembly import synthesise_into
from deploy.cost.prices import PRICES
from deploy.scale.demand import Day, LostWorkers, Storm
from deploy.scale.plot import plot
from deploy.scale.policy import Scaling, consumer_scaling
from deploy.scale.simulate import Course, Worker, run_day

DEVICES, INTERVAL_S, FIXED = 400_000, 10.0, 40
QUARTER_CORE_RECORDS_S = 67_005
"""`fleetlake bench consumer`: a worker with a quarter of a core."""
WHOLE_CORE_RECORDS_S = 233_759
TASK_START_S = 60.0
"""From RunTask to a running process on Fargate: an image of some 500 MB is pulled. Not measured here."""
_H = 3_600
PLOT = Path(os.environ.get("FLEETLAKE_BENCH_PLOT", "build/autoscale.svg"))


def run() -> list[Row]:
    """The day of every region, the fixed fleet's, and the real run."""
    with tempfile.TemporaryDirectory(prefix="fleetlake-bench-") as folder:
        templates = synthesise_into(Path(folder) / "out")
    scalings = {name: consumer_scaling(templates, name) for name in load_regions()}
    courses = {name: _day(name, scaling) for name, scaling in scalings.items()}
    fixed = {name: _day(name, scaling, fixed=FIXED) for name, scaling in scalings.items()}
    first = next(iter(scalings.values()))
    plot(courses, first.target, first.most, PLOT)
    print(f"autoscale: the plot is {PLOT}", file=sys.stderr)
    return [*_rows(courses, fixed, first), *_real_rows(real_run(first))]


def _worker(scaling: Scaling) -> Worker:
    able = min(WHOLE_CORE_RECORDS_S * max(1.0, scaling.cores), QUARTER_CORE_RECORDS_S * scaling.cores / 0.25)
    return Worker(records_s=able, start_s=TASK_START_S)


def _day(name: str, scaling: Scaling, fixed: int | None = None) -> Course:
    region = load_regions()[name]
    offset = datetime(2026, 11, 30, tzinfo=UTC).astimezone(region.zone).utcoffset()
    offset_h = offset.total_seconds() / _H if offset else 0.0
    noon_s = (12 - offset_h) % 24 * _H
    day = Day(
        region=name, devices=DEVICES, interval_s=INTERVAL_S, utc_offset_h=offset_h,
        storms=(Storm(begins_s=(noon_s - 3 * _H) % (24 * _H), away_s=900, share=0.3),),
    )  # fmt: skip
    lost = {
        "us": (LostWorkers(begins_s=noon_s, share=1 / 3, missing_s=120),),
        # The new version's tasks take shards and die, three times, until the deployment is taken back.
        "ap": tuple(LostWorkers(begins_s=noon_s + 90 * number, share=1 / 3, missing_s=0) for number in range(3)),
    }.get(name, ())
    return run_day(scaling, _worker(scaling), day.records_s, fixed=fixed, lost=lost)


def _rows(courses: dict[str, Course], fixed: dict[str, Course], scaling: Scaling) -> list[Row]:
    lags = sorted(lag for course in courses.values() for lag in course.lag_s)
    hours, fixed_hours = (sum(one.worker_s for one in all_.values()) / _H for all_ in (courses, fixed))
    an_hour = scaling.cores * PRICES["fargate_vcpu"].usd + scaling.memory_gb * PRICES["fargate_gb"].usd
    fixed_lag = sorted(lag for course in fixed.values() for lag in course.lag_s)
    counts = [count for course in courses.values() for count in course.workers]

    def beside(identifier: str, what: str, value: float, unit: str, peer: float) -> Row:
        return Row(id=identifier, what=what, value=value, unit=unit, peer=f"{FIXED} workers all day", peer_value=peer,
                   ratio=value / peer)  # fmt: skip

    return [
        Row(id="workers_min", what="fewest workers of a region", value=min(counts), unit="workers"),
        Row(id="workers_max", what="most workers of a region", value=max(counts), unit="workers"),
        Row(id="lag_p50_s", what="lag, half of the day", value=_quantile(lags, 0.5), unit="s"),
        beside("lag_p99_s", "lag, 99 % of the day", _quantile(lags, 0.99), "s", _quantile(fixed_lag, 0.99)),
        beside("lag_max_s", "lag, the longest", lags[-1], "s", fixed_lag[-1]),
        Row(id="throttled", what="records that shards refused once", unit="records",
            value=sum(course.throttled for course in courses.values())),
        beside("worker_hours_vs_fixed", "worker-hours of all regions", hours, "h", fixed_hours),
        beside("usd_a_day", "cost of the workers", hours * an_hour, "USD a day", fixed_hours * an_hour),
    ]  # fmt: skip


def _quantile(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def _real_rows(found: RealRun) -> list[Row]:
    return [
        Row(id="real_workers", what="real run: most workers, then fewest again", value=found.most, unit="workers"),
        Row(id="real_records", what="real run: records put, landed exactly once", value=found.records, unit="records"),
        Row(id="real_vs_simulated_lag", what="real run: longest that a shard stood unread", value=found.lag_s, unit="s",
            peer="simulated", peer_value=found.simulated_lag_s, ratio=found.lag_s / found.simulated_lag_s),
    ]  # fmt: skip
