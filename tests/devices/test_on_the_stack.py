"""Replay and simulation on the real stack, as commands: what is on the stream and in the registry afterwards."""

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import boto3
import psycopg
import pytest
import typer

import cli.replay
import cli.simulate
from contracts import kpl
from contracts.errors import Misuse
from contracts.names import stream as stream_name
from contracts.settings import RegionSettings
from producer import Limits, Producer
from tests.builders.command import fleetlake, reported

MAPPING = """
[device_id]
column = "vehicle"
prefix = "replaytest-"
[fields]
speed_kmh = { column = "speed", factor = 3.6, decimals = 3 }
[signals]
oil_bar = "oil"
[registry]
fleet = "replaytest"
name = "Replay test"
type = "bus"
make = { column = "maker" }
"""


def on_the_stream(settings: RegionSettings, belongs: str) -> dict[str, list[tuple[str, bytes]]]:
    """User records with `belongs` in them, by device: the shard and the bytes of each, in the shard's order."""
    client = boto3.client("kinesis", **settings.kinesis.client_kwargs(settings.row.aws_region))
    stream, found = stream_name(settings.region), defaultdict(list)
    for shard in client.list_shards(StreamName=stream)["Shards"]:
        position = client.get_shard_iterator(
            StreamName=stream, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        while True:
            answer = client.get_records(ShardIterator=position, Limit=10_000)
            for record in answer["Records"]:
                data = record["Data"]
                for payload in kpl.deaggregate(data) if kpl.is_aggregate(data) else [data]:
                    if belongs.encode() in payload:
                        device = payload.partition(b'"device_id":"')[2].partition(b'"')[0].decode()
                        found[device].append((shard["ShardId"], payload))
            if not answer["Records"] and not answer["MillisBehindLatest"]:
                break
            position = answer["NextShardIterator"]
    return found


def registered(settings: RegionSettings, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(settings.postgres_dsn.get_secret_value()) as connection:
        return connection.execute(query).fetchall()


def test_a_replayed_file_is_on_the_stream_in_order_and_its_devices_in_the_registry(stack: Any, tmp_path: Path) -> None:
    (tmp_path / "m.toml").write_text(MAPPING)
    rows = [(f"bus{n % 7}", 1_700_000_000_000 + n * 250, n % 20, "", f"maker {n % 7}") for n in range(3000)]
    file = tmp_path / "buses.csv"
    file.write_text("vehicle,ts,speed,oil,maker\n" + "\n".join(",".join(map(str, row)) for row in rows))
    words = ["replay", str(file), "--region", "ap", "--mapping", str(tmp_path / "m.toml")]

    report = reported(stack.state, *words)
    assert (report["records"], report["devices"]) == (3000, 7)
    assert (report["first_ts"], report["last_ts"]) == ("2023-11-14T22:13:20.000Z", "2023-11-14T22:25:49.750Z")
    assert report["kinesis_records"] < 50
    assert reported(stack.state, *words)["bytes"] == report["bytes"]

    settings = stack.settings("ap")
    found = on_the_stream(settings, "replaytest-")
    assert len(found) == 7
    for device, records in found.items():
        assert len({shard for shard, _ in records}) == 1
        once, again = records[: len(records) // 2], records[len(records) // 2 :]
        assert once == again
        expected = [row for row in rows if f"replaytest-{row[0]}" == device]
        assert [json.loads(payload)["ts"] for _, payload in once] == [row[1] for row in expected]
        assert [json.loads(payload)["speed_kmh"] for _, payload in once] == [round(row[2] * 3.6, 3) for row in expected]
    query = "select device_id, type, make from registry.device where fleet_id = 'replaytest' order by 1"
    assert registered(settings, query) == [(f"replaytest-bus{n}", "bus", f"maker {n}") for n in range(7)]


def test_a_simulated_fleet_is_on_the_stream_and_in_the_registry(stack: Any) -> None:
    words = ["simulate", "--region", "af", "--devices", "30", "--hours", "6", "--seed", "77", "--mess"]
    words += ["--start", "2026-11-18T05:00:00Z"]
    report = reported(stack.state, *words)
    assert report["records"] == report["distinct"] + report["duplicates"] > 3000

    settings = stack.settings("af")
    found = on_the_stream(settings, '"device_id":"af-')
    # A record cut within its device's id is not found.
    assert report["records"] - sum(len(records) for records in found.values()) >= report["mess"]["missing_device_id"]
    assert len(found) == 30
    assert {len({shard for shard, _ in records}) for records in found.values()} == {1}
    counts = """select (select count(*) from registry.device where device_id like 'af-%'),
        (select count(*) from registry.fleet where fleet_id like 'af-%'),
        (select count(*) from registry.device_subject where device_id like 'af-%')"""
    before = registered(settings, counts)
    assert before[0][:2] == (30, 2)
    assert before[0][2] >= 30
    reported(stack.state, *words)
    assert registered(settings, counts) == before


def test_the_producers_shards_are_those_of_the_stream(stack: Any) -> None:
    """Small aggregates and many keys: each record is where its own key's hash says."""
    settings = stack.settings("us")
    with Producer.open(settings, limits=Limits(aggregate_records=3)) as producer:
        producer.put((f"shardtest-{n % 50}", b'{"device_id":"shardtest-%d","n":%d}' % (n % 50, n)) for n in range(500))
        shards = producer.shards
    found = on_the_stream(settings, "shardtest-")
    assert sum(len(records) for records in found.values()) == 500
    for key, records in found.items():
        assert {shard for shard, _ in records} == {shards.shard_ids[shards.index_of(key)]}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["replay", "gone.csv", "--region", "eu"], "no file gone.csv"),
        (["replay", __file__, "--region", "eu"], r"replay reads \.csv, \.csv\.gz"),
        (["replay", "gone.csv", "--region", "eu", "--rate", "-1"], "--rate '-1' is no rate"),
        (["replay", "gone.csv", "--region", "eu", "--mapping", "nope"], "no mapping 'nope'"),
        (["simulate", "--region", "xx"], "no region 'xx' in regions.toml; it has"),
        (["simulate", "--region", "eu", "--devices", "0"], "--devices 0: give 1 to 9999"),
        (["simulate", "--region", "eu", "--mess", "--mess-share", "2"], "is no share of records"),
        (["simulate", "--region", "eu", "--start", "noon"], "--start 'noon' is no time"),
        (["simulate", "--region", "eu", "--start", "2099-01-01T00:00Z"], "runs ahead of the clock"),
    ],
)
def test_misuse_is_said_before_anything_is_sent(
    stack: Any, words: list[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in stack.environment("eu").items():
        monkeypatch.setenv(name, value)
    app = typer.Typer()
    cli.replay.add_to(app)
    cli.simulate.add_to(app)
    with pytest.raises(Misuse, match=message):
        app(words, standalone_mode=False)


def test_misuse_ends_with_2(tmp_path: Path) -> None:
    done = fleetlake(tmp_path, "replay", "gone.csv", "--region", "eu")
    assert done.returncode == 2
    assert "no file gone.csv" in done.stderr


def test_a_stack_that_is_down_ends_with_1(tmp_path: Path) -> None:
    done = fleetlake(tmp_path / "nothing here", "simulate", "--region", "eu", "--hours", "1")
    assert done.returncode == 1
    assert "fleetlake up" in done.stderr
