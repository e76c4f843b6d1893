"""What the embedded Kinesis acknowledged is there after kill -9."""

import itertools
import threading
import time
from types import SimpleNamespace
from typing import Any

import boto3
import msgspec
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from contracts.settings import RegionSettings
from stack.emulator.put_log import Put, PutLog, Puts
from tests.builders.stack import kill, process_of

KILLS, A_CALL, AT_LEAST = 4, 25, 500
STREAM = "telemetry-eu"
SHARD = "shardId-000000000000"


def client_of(settings: RegionSettings) -> Any:
    """A client that tells every error at once."""
    config = Config(retries={"total_max_attempts": 1}, connect_timeout=2, read_timeout=10)
    return boto3.client("kinesis", config=config, **settings.kinesis.client_kwargs(settings.row.aws_region))


class Putter(threading.Thread):
    """Puts numbered records until stopped, and keeps what was acknowledged."""

    def __init__(self, settings: RegionSettings) -> None:
        super().__init__(daemon=True)
        self.acknowledged: dict[bytes, str] = {}
        self.stopping = False
        self._client = client_of(settings)

    def run(self) -> None:
        for call in itertools.count():
            if self.stopping:
                return
            sent = [f"record-{call}-{number}".encode() for number in range(A_CALL)]
            entries = [{"Data": data, "PartitionKey": data.decode()} for data in sent]
            try:
                answer = self._client.put_records(StreamName=STREAM, Records=entries)
            except (BotoCoreError, ClientError):
                time.sleep(0.1)
                continue
            self.acknowledged |= zip(sent, (one["SequenceNumber"] for one in answer["Records"]), strict=True)


def held_by(settings: RegionSettings) -> list[dict[str, Any]]:
    """The records of the one shard, in order."""
    client, found = client_of(settings), []
    where = {"StreamName": STREAM, "ShardId": SHARD, "ShardIteratorType": "TRIM_HORIZON"}
    iterator = client.get_shard_iterator(**where)["ShardIterator"]
    while True:
        answer = client.get_records(ShardIterator=iterator, Limit=10_000)
        if not answer["Records"]:
            return found
        found += answer["Records"]
        iterator = answer["NextShardIterator"]


def test_four_kills_while_records_are_put_lose_none_that_was_acknowledged(own_stack):
    settings = own_stack.settings("eu")
    putter = Putter(settings)
    putter.start()
    for _ in range(KILLS):
        enough, deadline = len(putter.acknowledged) + AT_LEAST, time.monotonic() + 60
        while len(putter.acknowledged) < enough and time.monotonic() < deadline:
            time.sleep(0.02)
        kill(process_of(own_stack.state, "kinesis"))
        own_stack.up()
    putter.stopping = True
    putter.join(30)
    found = held_by(settings)
    held = {record["Data"]: record["SequenceNumber"] for record in found}
    lost = [data for data, number in putter.acknowledged.items() if held.get(data) != number]
    assert (lost, len(putter.acknowledged) >= KILLS * AT_LEAST) == ([], True)
    numbers = [record["SequenceNumber"] for record in found]
    assert numbers == sorted(set(numbers))


@pytest.fixture
def log(tmp_path):
    """A log over a stream with one record in its snapshot."""
    made = PutLog(tmp_path)
    shard = {"records": [kept(1)], "starting_sequence_number": number_of(0)}
    stream = {"CreationTimestamp": 7, "shards": {SHARD: shard}}
    streams = SimpleNamespace(all_items=lambda: [(("0", "r", "s"), stream)])
    made._kinesis = SimpleNamespace(_streams=streams, shard=shard)
    return made


def number_of(place):
    return f"{place:020d}{0:010d}"


def kept(place):
    return {"SequenceNumber": number_of(place), "ApproximateArrivalTimestamp": 1.5, "Data": "eA==", "PartitionKey": "k"}


def write(folder, segment, *requests, tail=b""):
    lines = [
        msgspec.json.encode(
            Puts(("0", "r", "s"), created, [Put(SHARD, number_of(place), 1.5, "k", "eA==") for place in places])
        )
        for created, places in requests
    ]
    (folder / f"puts-{segment:012d}").write_bytes(b"".join(line + b"\n" for line in lines) + tail)


def test_what_the_snapshot_has_is_not_put_back_twice_and_a_line_cut_off_is_passed_over(log, tmp_path):
    write(tmp_path, 9, (7, [3]))
    write(tmp_path, 8, (7, [1]), (7, [2]), tail=b'[["0","r"')
    assert log.replay() == 2
    assert log._kinesis.shard["records"] == [kept(1), kept(2), kept(3)]


def test_a_stream_that_was_made_again_is_left_alone(log, tmp_path):
    write(tmp_path, 8, (6, [2]))
    assert log.replay() == 0


def test_numbers_go_on_behind_those_that_were_put_back_though_the_clock_was_set_back(log, tmp_path):
    ahead = int(time.time() * 1000) + 3_600_000
    write(tmp_path, 8, (7, [ahead]))
    log.replay()
    assert log._next_number() > number_of(ahead)


def test_a_complete_snapshot_takes_the_segments_before_it(log, tmp_path):
    write(tmp_path, 1, (7, [2]))
    log = PutLog(tmp_path)
    log.cut()
    log.drop()
    assert [path.name for path in tmp_path.iterdir()] == ["puts-000000000002"]
