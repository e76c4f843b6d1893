"""Dagster's storage, as those see it who start and end its processes."""

import os
from collections.abc import Mapping

import psycopg


def storage_answers(dagster: Mapping[str, str]) -> bool:
    """Whether Dagster's database answers: Dagster itself retries for 17 s and prints each failure."""
    try:
        psycopg.connect(dagster["FLEETLAKE_DAGSTER_DSN"].replace("+psycopg2", ""), connect_timeout=3).close()
    except psycopg.OperationalError:
        return False
    return True


def fail_orphaned_runs(dagster: Mapping[str, str], *, daemon_runs: bool = False, daemon_ended: bool = False) -> None:
    """Fail the runs that ended with their code servers; delete the heartbeats of a daemon that has ended."""
    from dagster import DagsterInstance

    from orchestration.local.daemon_heartbeat import forget
    from orchestration.local.orphaned_runs import fail_orphans

    os.environ.update(dagster)
    with DagsterInstance.get() as instance:
        fail_orphans(instance, daemon_runs=daemon_runs)
        if daemon_ended:
            forget(instance)
