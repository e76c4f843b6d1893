"""What the embedded Kinesis acknowledged is there after kill -9."""

import itertools
import os
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
from stack.emulator.put_log import LoggedRecord, Put, PutLog, Puts
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
    """A log of a stream that has a record in a snapshot, as earlier versions wrote them."""
    return log_of(tmp_path, kept(now_ms()))


def log_of(folder, *records):
    made = PutLog(folder)
    shard = {"records": list(records), "starting_sequence_number": number_of(0)}
    stream = {"CreationTimestamp": 7, "RetentionPeriodHours": 24, "shards": {SHARD: shard}}
    streams = SimpleNamespace(all_items=lambda: [(("0", "r", "s"), stream)])
    made._kinesis = SimpleNamespace(
        _streams=streams,
        shard=shard,
        get_account_id=lambda: "0",
        get_region=lambda: "r",
        _resolve_stream=lambda data: ("s", stream),
    )
    return made


def now_ms():
    return int(time.time() * 1000)


def number_of(place):
    return f"{place:020d}{0:010d}"


def kept(place, data="eA=="):
    arrival_s = place / 1000
    return {
        "SequenceNumber": number_of(place),
        "ApproximateArrivalTimestamp": arrival_s,
        "Data": data,
        "PartitionKey": "k",
    }


def put_of(place):
    return Put(SHARD, number_of(place), place / 1000, "k", "eA==")


def held(log):
    names = "SequenceNumber", "ApproximateArrivalTimestamp", "Data", "PartitionKey"
    return [{name: record[name] for name in names} for record in log._kinesis.shard["records"]]


def write(folder, segment, *requests, tail=b""):
    lines = [
        msgspec.json.encode(Puts(("0", "r", "s"), created, [put_of(place) for place in places]))
        for created, places in requests
    ]
    (folder / f"puts-{segment:012d}").write_bytes(b"".join(line + b"\n" for line in lines) + tail)


def test_records_are_put_back_once_and_a_line_cut_off_is_passed_over(log, tmp_path):
    first = int(log._kinesis.shard["records"][0]["SequenceNumber"][:20])
    write(tmp_path, 9, (7, [first + 2]))
    write(tmp_path, 8, (7, [first]), (7, [first + 1]), tail=b'[["0","r"')
    assert log.replay() == 3
    assert held(log) == [kept(first), kept(first + 1), kept(first + 2)]


def test_what_an_earlier_version_has_in_its_snapshot_is_logged(log, tmp_path):
    first = held(log)
    log.replay()
    log.leave_out_records()
    assert log.replay() == 1
    assert held(log) == first


def test_a_stream_that_was_made_again_is_left_alone(tmp_path):
    write(tmp_path, 8, (6, [now_ms()]))
    assert log_of(tmp_path).replay() == 0


def test_what_has_expired_is_not_put_back(tmp_path):
    write(tmp_path, 8, (7, [now_ms() - 25 * 3_600_000, now_ms()]))
    assert log_of(tmp_path).replay() == 1


def test_numbers_go_on_behind_those_that_were_put_back_though_the_clock_was_set_back(log, tmp_path):
    ahead = int(time.time() * 1000) + 3_600_000
    write(tmp_path, 8, (7, [ahead]))
    log.replay()
    assert log._next_number() > number_of(ahead)


def put(log, *data):
    """As ministack's handler does it: the records first, then the log."""
    log._issued.clear()
    for one in data:
        number = log._next_number()
        log._kinesis.shard["records"].append(kept(int(number[:20]), one) | {"SequenceNumber": number})
    log._write({})


def test_memory_has_places_and_the_file_has_the_data(tmp_path):
    log, sent = log_of(tmp_path), ["eA==", "", "A" * 20_000, "A" * 20_000, 'not base64: \u00e4"\\']
    put(log, *sent[:3])
    put(log, *sent[3:])
    records = log._kinesis.shard["records"]
    assert [record["Data"] for record in records] == sent
    assert [type(record) for record in records] == 4 * [LoggedRecord] + [dict]
    before = held(log)
    again = log_of(tmp_path)
    assert again.replay() == len(sent)
    assert held(again) == before


def test_a_full_disk_refuses_one_request_and_spoils_no_other(tmp_path, monkeypatch):
    log, full = log_of(tmp_path), True
    put(log, "eA==")
    own = os.write

    def half(file, line):
        if full and len(line) > 100:
            return own(file, line[:100]) if len(line) > 2_000 else refuse()
        return own(file, line)

    def refuse():
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", half)
    with pytest.raises(OSError, match="No space"):
        put(log, "A" * 2_000)
    full = False
    put(log, "eQ==")
    again = log_of(tmp_path)
    assert again.replay() == 2
    assert [record["Data"] for record in again._kinesis.shard["records"]] == ["eA==", "eQ=="]


def test_a_segment_goes_when_the_retention_of_its_records_has_passed(tmp_path):
    write(tmp_path, 1, (7, [2]))
    write(tmp_path, 2, (7, [3]))
    old = time.time() - 25.5 * 3_600
    os.utime(tmp_path / "puts-000000000001", (old, old))
    log = log_of(tmp_path)
    log.cut()
    assert {path.name for path in tmp_path.iterdir()} == {"puts-000000000002", "puts-000000000003"}
