"""What a receipt promises: the record is on the stream, in the order of its device, and every message gets one."""

import asyncio
import base64
import json
import random
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import pytest

from contracts import kpl
from contracts.errors import FleetlakeError, SinkUnavailable, StoreUnavailable
from producer import Limits, ReceiptProducer, ReceiptRules
from reconcile.aggregate import parts_of, user_records
from tests.builders.devices import ANSWER_LOST, ScriptedKinesis, even_shards, scripted_kinesis, unpacked

SMALL = Limits(aggregate_records=7, aggregate_bytes=400, call_records=5, call_bytes=1500)
RULES = ReceiptRules(linger_s=0.002, give_up_s=1.0, first_wait_s=0.001, longest_wait_s=0.004)
TAG = ("via", "gateway")


def record(device: int, number: int) -> bytes:
    return json.dumps({"device_id": f"dev-{device}", "n": number}).encode()


class Receipts:
    """The receipts given, and whether the stream held the record by then."""

    def __init__(self, kinesis: ScriptedKinesis) -> None:
        self.kinesis = kinesis
        self.given: list[bytes] = []
        self.refused: list[FleetlakeError] = []
        self.untrue: list[bytes] = []
        self._held: set[bytes] = set()
        self._seen: dict[str, int] = defaultdict(int)

    def of(self, records: list[bytes]) -> Callable[[FleetlakeError | None], None]:
        def receive(error: FleetlakeError | None) -> None:
            if error is not None:
                self.refused.append(error)
                return
            self._look()
            self.untrue += [data for data in records if data not in self._held]
            self.given += records

        return receive

    def _look(self) -> None:
        """What the stream holds now."""
        for shard, held in list(self.kinesis.accepted.items()):
            new = held[self._seen[shard] :]
            self._seen[shard] += len(new)
            for one in new:
                self._held.update(unpacked(one))


def run(
    refuse: Any = lambda call, records: None,
    *,
    devices: int = 5,
    messages: int = 300,
    shards: int = 3,
    a_message: int = 1,
    meanwhile: Callable[[ScriptedKinesis, int], None] = lambda kinesis, number: None,
) -> tuple[ScriptedKinesis, Receipts, ReceiptProducer]:
    """Put numbered messages of some devices and wait for every receipt."""
    with scripted_kinesis(shards, refuse) as (kinesis, client):
        receipts = Receipts(kinesis)

        async def put() -> ReceiptProducer:
            producer = ReceiptProducer(client, "telemetry-eu", TAG, limits=SMALL, rules=RULES)
            for number in range(messages):
                device = number % devices
                records = [record(device, number * a_message + place) for place in range(a_message)]
                producer.put(f"dev-{device}", records, receipts.of(records))
                if number % 50 == 49:
                    meanwhile(kinesis, number)
                    await asyncio.sleep(0.004)
            await producer.drain()
            producer.close()
            return producer

        return kinesis, receipts, asyncio.run(put())


def in_order(kinesis: ScriptedKinesis) -> bool:
    """Whether each device's numbers arrive in order. A record that is there twice counts where it is first."""
    last: dict[str, int] = defaultdict(lambda: -1)
    seen: set[bytes] = set()
    for data in kinesis.user_records():
        body = json.loads(data)
        if data not in seen and body["n"] < last[body["device_id"]]:
            return False
        seen.add(data)
        last[body["device_id"]] = max(last[body["device_id"]], body["n"])
    return True


def test_each_message_gets_its_receipt_once_the_stream_has_it() -> None:
    kinesis, receipts, producer = run(a_message=3)
    assert (len(receipts.given), receipts.untrue, receipts.refused) == (900, [], [])
    assert sorted(kinesis.user_records()) == sorted(receipts.given)
    assert (producer.counts.records, producer.counts.messages, producer.held_bytes) == (900, 300, 0)


def test_what_is_throttled_gets_no_receipt_before_it_is_accepted_and_keeps_its_devices_order() -> None:
    dice = random.Random(3)
    kinesis, receipts, producer = run(lambda call, records: {p for p in range(len(records)) if dice.random() < 0.5})
    assert (len(receipts.given), receipts.untrue) == (300, [])
    assert in_order(kinesis)
    assert sorted(kinesis.user_records()) == sorted(receipts.given)
    assert producer.counts.throttled > 0


def test_one_busy_device_keeps_its_order_though_it_fills_calls() -> None:
    dice = random.Random(5)
    refuse = lambda call, records: {p for p in range(len(records)) if dice.random() < 0.4}  # noqa: E731
    kinesis, receipts, _ = run(refuse, devices=1, shards=1)
    assert len(receipts.given) == 300
    assert in_order(kinesis)


def test_a_lost_answer_makes_doubles_and_no_untrue_receipt() -> None:
    kinesis, receipts, _ = run(lambda call, records: ANSWER_LOST if call % 3 == 1 else None)
    assert (len(receipts.given), receipts.untrue) == (300, [])
    assert set(kinesis.user_records()) == set(receipts.given)


def test_a_stream_that_takes_nothing_refuses_every_message_in_time() -> None:
    _, receipts, producer = run(lambda call, records: (400, "ProvisionedThroughputExceededException"), messages=40)
    assert (len(receipts.refused), receipts.given, producer.held_bytes) == (40, [], 0)
    assert all(isinstance(error, StoreUnavailable) for error in receipts.refused)
    assert "took nothing for 1 s" in str(receipts.refused[0])


def test_a_refusal_for_good_is_told_at_once() -> None:
    kinesis, receipts, _ = run(lambda call, records: (400, "AccessDeniedException"), messages=5, shards=1)
    assert (len(receipts.refused), len(kinesis.calls)) == (5, 1)
    assert isinstance(receipts.refused[0], SinkUnavailable)


def test_a_resharded_stream_is_followed_in_order() -> None:
    def split(kinesis: ScriptedKinesis, number: int) -> None:
        if number == 99:
            for shard in kinesis.shards:
                shard["SequenceNumberRange"]["EndingSequenceNumber"] = "9"
            kinesis.shards += even_shards(4, first=2)

    kinesis, receipts, producer = run(shards=2, meanwhile=split, messages=500, devices=11)
    assert (len(receipts.given), receipts.untrue) == (500, [])
    new = {f"shardId-{number:012d}" for number in range(2, 6)}
    assert set(producer._lanes) == new
    by_shard: dict[str, list[bytes]] = defaultdict(list)
    for shard, data in kinesis.routed():
        by_shard["old" if shard not in new else shard].append(data)
    assert {json.loads(data)["n"] for data in by_shard["old"]} < set(range(500))
    assert in_order(kinesis)


def test_every_record_carries_the_tag_and_is_counted_as_before() -> None:
    kinesis, _, _ = run(messages=20)
    for held in kinesis.accepted.values():
        for one in held:
            data = base64.b64decode(one["Data"])
            assert kpl.is_aggregate(data)
            assert user_records(data) == len(kpl.deaggregate(data))
            assert parts_of(data) == list(kpl.deaggregate(data))
            assert data.count(b"\n\x03via\x12\x07gateway") == user_records(data)


@pytest.mark.parametrize("shards", [1, 4])
def test_a_call_never_has_a_key_in_two_entries(shards: int) -> None:
    kinesis, _, _ = run(devices=3, messages=400, shards=shards)
    assert len(kinesis.calls) > 1
    assert in_order(kinesis)
