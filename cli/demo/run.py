"""Runs the demo: the stack, then every region from simulation to reconciliation, then the world."""

import os
import signal
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import stack
from cli.demo.plan import SEED, Window, plan
from cli.demo.report import gather
from cli.demo.steps import Steps
from cli.demo.usage import UsageMonitor
from contracts.regions import WORLD

VIA = "mqtt"
"""What the devices of the first region speak, to its gateway; those of the others are on the stream at once."""
AT_A_TIME = 2
"""Regions processed at the same time: each has a Spark session."""
_SETTINGS = {"FLEETLAKE_RELEASE_DELAY_DAYS": "0", "FLEETLAKE_SPARK_MEMORY": "1g", "PYTHONUNBUFFERED": "1"}
"""Defaults of the demo, which the caller's environment overrides: yesterday is released today, and two Spark sessions
fit into a laptop."""
_FREE_PORTS = {
    "FLEETLAKE_GATEWAY_MQTT_PORT": "0",
    "FLEETLAKE_GATEWAY_HTTP_PORT": "0",
    "FLEETLAKE_METRICS_PORT": "0",
}
"""Whatever else listens on this machine."""


def run(state: Path, report: Path, progress: Callable[[str], None]) -> dict[str, Any]:
    """Run the demo on the stack of `state` and return its report, which is also written to the folder `report`.

    progress: called with a line for each finished step. Raises StepFailed.
    """
    # On SIGTERM the demo must not leave its commands behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    environment = _SETTINGS | dict(os.environ) | {"FLEETLAKE_STATE": str(state)}
    steps = Steps(report / "logs", environment, progress)
    with UsageMonitor(state) as usage, ThreadPoolExecutor(AT_A_TIME, thread_name_prefix="demo") as pool:
        try:
            _run_steps(steps, state, pool)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            steps.end()
            raise
    return gather(state, report, steps, usage)


def _run_steps(steps: Steps, state: Path, pool: ThreadPoolExecutor) -> None:
    regions = list(stack.known_regions(state).values())
    steps.run("up", "", ["up", "--json"])
    windows = plan(regions, state / "demo.json", datetime.now(UTC))
    through_gateway = regions[0].name
    chains = [pool.submit(_run_region, steps, name, windows[name], gateway=name == through_gateway) for name in windows]
    for chain in as_completed(chains):
        chain.result()
    steps.run("process", WORLD, ["process", "--region", WORLD, "--json"])


def _run_region(steps: Steps, name: str, window: Window, *, gateway: bool) -> None:
    """All steps of one region. Two regions run at a time, so that one works while the other waits."""
    (_simulate_devices if gateway else _simulate)(steps, name, window)
    steps.run("consume", name, ["consume", "--region", name, "--until-idle", "--json"])
    steps.run("process", name, ["process", "--region", name, "--json"])
    steps.run("reconcile", name, ["reconcile", "--region", name, "--json"], may_fail=True)


def _simulate(steps: Steps, name: str, window: Window, *more: str, settings: Mapping[str, str] | None = None) -> None:
    hours = f"{window.hours(datetime.now(UTC)):.4f}"
    fleet = ["--devices", str(window.devices), "--seed", str(SEED), "--start", window.start.isoformat()]
    words = ["simulate", "--region", name, *fleet, "--hours", hours, "--mess", "--json", *more]
    steps.run("simulate", name, words, settings=settings)


def _simulate_devices(steps: Steps, name: str, window: Window) -> None:
    """The fleets' devices connect to a gateway, each with its certificate, and are told what is on the stream."""
    words = ["gateway", "--region", name, "--json"]
    with steps.beside("gateway", name, words, "gateway.started", _FREE_PORTS) as started:
        ports = {f"FLEETLAKE_GATEWAY_{each.upper()}_PORT": str(started[each]) for each in ("mqtt", "http")}
        _simulate(steps, name, window, "--via", VIA, settings=ports)
