"""DAGSTER_HOME: the configuration of the instance that webserver, daemon, code servers and `process` share."""

import os
from collections.abc import Mapping
from pathlib import Path

from contracts.errors import BadSettings

_YAML = """\
# Written by Fleetlake. One instance for all regions: no secret of a region, and no identifier of a device, is in it.
storage:
  postgres:
    postgres_url:
      env: FLEETLAKE_DAGSTER_DSN
nux:
  enabled: false
telemetry:
  enabled: false
# What a step prints may quote a record, so it stays in the code server's own output, within its region.
compute_logs:
  module: dagster._core.storage.noop_compute_log_manager
  class: NoOpComputeLogManager
concurrency:
  runs:
    max_concurrent_runs: 2
  pools:
    default_limit: 1
    granularity: run
sensors:
  use_threads: true
  num_workers: 4
run_monitoring:
  enabled: true
  start_timeout_seconds: 180
  cancel_timeout_seconds: 180
  poll_interval_seconds: 30
retention:
  sensor:
    purge_after_days:
      skipped: 1
      success: 30
      failure: 90
  schedule:
    purge_after_days: 90
"""


def prepare_home(environment: Mapping[str, str]) -> dict[str, str]:
    """Write dagster.yaml below DAGSTER_HOME and return the variables that every Dagster process needs.

    environment: holds DAGSTER_HOME and FLEETLAKE_DAGSTER_DSN. Raises BadSettings where one is missing.
    """
    missing = [name for name in ("DAGSTER_HOME", "FLEETLAKE_DAGSTER_DSN") if not environment.get(name)]
    if missing:
        raise BadSettings(f"{' and '.join(missing)} not set; `fleetlake up` starts a stack that has them")
    home = Path(environment["DAGSTER_HOME"]).resolve()
    home.mkdir(parents=True, exist_ok=True)
    path = home / "dagster.yaml"
    if not path.exists() or path.read_text(encoding="utf-8") != _YAML:
        fresh = path.with_suffix(f".{os.getpid()}")
        fresh.write_text(_YAML, encoding="utf-8")
        fresh.replace(path)
    return {
        "DAGSTER_HOME": str(home),
        "FLEETLAKE_DAGSTER_DSN": with_psycopg2(environment["FLEETLAKE_DAGSTER_DSN"]),
        "DAGSTER_DISABLE_TELEMETRY": "1",
        # One planned event an asset and run, not one a partition: a run over two years of days would write thousands
        # before it starts. Days that a failed run left are due again whatever Dagster thinks of its partitions.
        "DAGSTER_EMIT_PARTITION_SUBSET_IN_PLANNED_EVENTS": "true",
        "DAGSTER_EVENT_BATCH_SIZE": "500",
    }


def with_psycopg2(dsn: str) -> str:
    """The DSN with the driver that Dagster's storage works with: psycopg 3 fails on NOTIFY."""
    return "postgresql+psycopg2://" + dsn.split("://", 1)[1]
