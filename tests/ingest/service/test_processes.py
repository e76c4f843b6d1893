"""Real consumer processes, killed, paused and stopped: nothing lost, nothing twice."""

import json
import os
import random
import signal
import threading
import time

import psutil
import psycopg
import pyarrow.parquet as pq
from pyarrow import BufferReader

from contracts.ledger import LANDED
from ingest.service.consume import consume
from ingest.service.watermarks import copy_watermarks
from tests.builders.consumer import broken_chains, landed_ids
from tests.builders.consumer_process import wait_until
from tests.builders.stack import gone

METRICS_THAT_STAY = (
    "fleetlake_ingest_lag_ms", "fleetlake_ingest_kinesis_records_total", "fleetlake_ingest_user_records_total",
    "fleetlake_ingest_landed_total", "fleetlake_ingest_rejected_total", "fleetlake_ingest_flush_seconds_bucket",
    "fleetlake_ingest_flush_rows_bucket", "fleetlake_ingest_flush_bytes_bucket", "fleetlake_ingest_buffer_bytes",
    "fleetlake_ingest_buffer_limit_bytes", "fleetlake_ingest_lease_events_total", "fleetlake_ingest_shards",
    "fleetlake_ingest_sink_down_seconds", "fleetlake_ingest_reading_paused", "fleetlake_ingest_watermark_ms",
    "fleetlake_ingest_unknown_fields_total", "fleetlake_ingest_live_pending_rows", "fleetlake_ingest_live_dirty",
    "fleetlake_ingest_retention_used_ratio",
)  # fmt: skip


def _landed(ground) -> list[str]:  # type: ignore[no-untyped-def]
    _, entries = ground.aftermath.ledger()
    listed = {landed.key for entry in entries for landed in entry.objects if landed.kind == LANDED}
    objects = ground.aftermath.objects()
    return landed_ids([objects[key] for key in listed])


def _mine(found: list[str], sent: set[str]) -> list[str]:
    return sorted(event for event in found if event in sent)


def test_killed_at_random_moments_it_loses_nothing_and_doubles_nothing(ground) -> None:  # type: ignore[no-untyped-def]
    sent: set[str] = set()
    dice = random.Random(7)

    def produce() -> None:
        for number in range(40):
            sent.update(ground.put(500, first=100_000 + 500 * number))

    producer = threading.Thread(target=produce)
    producer.start()
    for _ in range(4):
        consumer = ground.consumer(flush_age_s=0.2)
        consumer.wait_for("lease.taken", 4)
        time.sleep(dice.uniform(0.0, 1.0))  # the moment of death is the point
        consumer.kill()
    producer.join()
    consume(ground.settings, until_idle=True)

    rows, entries = ground.aftermath.ledger()
    objects = ground.aftermath.objects()
    listed = {landed.key: landed for entry in entries for landed in entry.objects}
    assert len(sent) == 20_000
    assert _mine(_landed(ground), sent) == sorted(sent)
    assert broken_chains(rows, entries) == []
    assert all(entry.user_records == entry.landed + entry.rejected_total + entry.suppressed for entry in entries)
    for key, landed in listed.items():
        assert pq.ParquetFile(BufferReader(objects[key])).metadata.num_rows == landed.rows
    assert set(objects) == set(listed)


def test_a_paused_process_that_wakes_up_commits_nothing(ground) -> None:  # type: ignore[no-untyped-def]
    zombie = ground.consumer(flush_age_s=600)
    zombie.wait_for("lease.taken", 4)
    sent = ground.put(400, first=200_000)
    read = "fleetlake_ingest_buffer_bytes"
    wait_until(lambda: any(line.startswith(f"{read} ") and not line.endswith(" 0.0") for line in _page(zombie)), 30)
    zombie.send(signal.SIGSTOP)
    heir = ground.consumer()
    heir.wait_for("lease.taken", 4)
    wait_until(lambda: _mine(_landed(ground), sent) == sorted(sent), 60)
    zombie.send(signal.SIGCONT)
    wait_until(lambda: len(zombie.events("lease.lost") + zombie.events("lease.dropped")) >= 4, 60)
    zombie.send(signal.SIGTERM)
    assert zombie.end() == 0
    assert zombie.events("worker.ended")[-1]["landed"] == 0
    assert _mine(_landed(ground), sent) == sorted(sent)


def _page(consumer) -> list[str]:  # type: ignore[no-untyped-def]
    return consumer.get("/metrics")[1].splitlines()


def test_sigterm_flushes_commits_and_lets_go(ground) -> None:  # type: ignore[no-untyped-def]
    consumer = ground.consumer(flush_age_s=600)
    consumer.wait_for("lease.taken", 4)
    sent = ground.put(400, first=300_000)
    name = "fleetlake_ingest_user_records_total"
    wait_until(lambda: sum(float(line.split()[-1]) for line in _page(consumer) if line.startswith(name)) >= 400, 30)
    assert _mine(_landed(ground), sent) == []
    consumer.send(signal.SIGTERM)
    assert consumer.end() == 0
    assert _mine(_landed(ground), sent) == sorted(sent)
    assert {row.owner for row in ground.aftermath.rows()} == {None}


def test_two_processes_until_idle_report_together(ground) -> None:  # type: ignore[no-untyped-def]
    sent = ground.put(4_000, first=400_000)
    report = consume(ground.settings, workers=2, until_idle=True)
    assert report.landed == 4_000
    assert _mine(_landed(ground), sent) == sorted(sent)


def test_two_processes_share_the_stream(ground) -> None:  # type: ignore[no-untyped-def]
    def owners() -> set[str]:
        return {row.owner for row in ground.aftermath.rows()} - {None}

    team = ground.consumer(workers=2)
    wait_until(lambda: len(owners()) == 2, 60)
    workers = owners()
    sent = ground.put(4_000, first=700_000)
    wait_until(lambda: _mine(_landed(ground), sent) == sorted(sent), 60)
    team.send(signal.SIGTERM)
    assert team.end() == 0
    _, entries = ground.aftermath.ledger()
    assert {entry.worker for entry in entries if entry.worker in workers} == workers


def test_a_killed_worker_of_a_team_is_replaced_and_everything_lands(ground) -> None:  # type: ignore[no-untyped-def]
    team = ground.consumer(workers=2)
    team.wait_for("lease.taken", 4)
    sent = ground.put(1_000, first=600_000)
    os.kill(team.wait_for("worker.started", 2)["pid"], signal.SIGKILL)
    died = team.wait_for("worker.died")
    assert (died["exit_code"], died["starts_again_in_s"]) == (-signal.SIGKILL, 0.5)
    sent |= ground.put(1_000, first=601_000)
    team.wait_for("worker.started", 3)
    wait_until(lambda: _mine(_landed(ground), sent) == sorted(sent), 60)
    team.send(signal.SIGTERM)
    assert team.end() == 0
    assert {row.owner for row in ground.aftermath.rows()} == {None}


def test_workers_whose_parent_is_killed_end_by_themselves_without_a_traceback(ground) -> None:  # type: ignore[no-untyped-def]
    team = ground.consumer(workers=2)
    team.wait_for("lease.taken", 4)
    team.wait_for("worker.started", 2)
    workers = [psutil.Process(event["pid"]) for event in team.events("worker.started")]

    team.send(signal.SIGKILL)

    wait_until(lambda: all(gone(worker) for worker in workers), 60)
    team.end()
    assert [
        line["text"] for line in team.events("text") if "Traceback" in line["text"] or "Error" in line["text"]
    ] == []
    assert {row.owner for row in ground.aftermath.rows()} == {None}


def test_metrics_and_health_keep_their_names(ground) -> None:  # type: ignore[no-untyped-def]
    consumer = ground.consumer()
    consumer.wait_for("lease.taken", 4)
    ground.put(100, first=500_000)
    wait_until(lambda: any(line.startswith("fleetlake_ingest_landed_total{") for line in _page(consumer)), 30)
    wait_until(lambda: consumer.get("/readyz")[0] == 200, 30)
    page = consumer.get("/metrics")[1]
    missing = [name for name in METRICS_THAT_STAY if name not in page]
    assert missing == []
    status, body = consumer.get("/healthz")
    assert status == 200
    assert len(json.loads(body)["shards"]) == 4


def test_a_lock_on_the_watermarks_copy_keeps_no_consumer_from_ending(ground) -> None:  # type: ignore[no-untyped-def]
    consume(ground.settings, until_idle=True)
    with psycopg.connect(ground.settings.postgres_dsn.get_secret_value()) as connection:
        connection.execute("lock table ops.watermarks in access exclusive mode")
        assert not copy_watermarks(ground.settings.postgres_dsn.get_secret_value(), ground.aftermath.rows())
        consumer = ground.consumer()
        consumer.wait_for("lease.taken", 4)
        consumer.send(signal.SIGTERM)
        assert consumer.end(within_s=25) == 0
        assert consumer.events("watermarks.not_copied")
        assert consumer.events("worker.ended")


def test_watermarks_are_copied_for_people(ground) -> None:  # type: ignore[no-untyped-def]
    consume(ground.settings, until_idle=True)
    with psycopg.connect(ground.settings.postgres_dsn.get_secret_value()) as connection:
        copied = connection.execute("select shard_id, position, ended from ops.watermarks order by shard_id").fetchall()
    assert copied == [(row.shard_id, row.position, row.ended) for row in ground.aftermath.rows()]
