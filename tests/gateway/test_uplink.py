"""Simulated devices' side of the gateway: what they keep, what they give up, and what they do to their connections."""

import asyncio
import json
import ssl
import time
from pathlib import Path

from gateway.identity.laptop import device_files, fleet_authority, folder_of
from gateway.uplink import Answers, Endpoint, Habits, Uplink
from gateway.uplink.line import MOST_BYTES, MOST_RECORDS, Line
from tests.builders.gateway import client_tls, on_stream, telemetry
from tests.gateway.conftest import Ground

NOWHERE = Endpoint("127.0.0.1", 1, "localhost")


class StrictLine(Line):
    """A line whose other side refuses a message with a bad record in it."""

    said = 0

    async def converse(self) -> bool:
        while self.waiting:
            message = self.waiting.popleft()
            self.said += 1
            if any(b"bad" in record for record in message):
                self.refused(message, "bad_payload")
            else:
                self.acknowledged(message)
        return True


def test_a_bad_record_is_found_by_halves_and_given_up_alone() -> None:
    answers, settled = Answers(), []
    line = StrictLine(
        "d", NOWHERE, ssl.create_default_context(), answers, lambda records, size: settled.append(records)
    )
    line.add([b'{"n":%d}' % number if number != 37 else b"bad" for number in range(64)])
    assert asyncio.run(line.converse())
    assert (answers.acknowledged, dict(answers.refused)) == (63, {"bad_payload": 1})
    assert sum(settled) == 64
    assert line.said == 1 + 2 * 6


def test_what_waits_is_sent_together() -> None:
    line = StrictLine("d", NOWHERE, ssl.create_default_context(), Answers(), lambda records, size: None)
    for number in range(MOST_RECORDS + 1):
        line.add([b"%d" % number])
    assert [len(message) for message in line.waiting] == [MOST_RECORDS, 1]
    sent = line.waiting.popleft()
    line.waiting.clear()
    line.add([b"next"])
    assert (len(sent), list(line.waiting)) == (MOST_RECORDS, [[b"next"]]), "a message that was sent has grown"
    line.add([b"x" * MOST_BYTES])
    assert len(line.waiting) == 2


def test_devices_that_sleep_and_roam_lose_nothing(ground: Ground, tmp_path: Path) -> None:
    authority = fleet_authority(folder_of(ground.settings.state, "eu"), "acme")
    tls = {
        name: client_tls(ground.gateway, *device_files(tmp_path, authority, name)) for name in ("roamer-1", "roamer-2")
    }
    endpoint = Endpoint("127.0.0.1", ground.gateway.port("mqtt"), "localhost")
    habits = Habits(sleeps_after_s=0.4, roams_after_s=1.0)
    sent: dict[str, list[bytes]] = {name: [] for name in tls}
    with Uplink("mqtt", endpoint, tls.__getitem__, habits=habits) as uplink:
        deadline = time.monotonic() + 60
        while not (uplink.answers.slept and uplink.answers.roamed >= 2):
            assert time.monotonic() < deadline, uplink.answers
            for name, records in sent.items():
                records.append(telemetry(name, len(records)))
                uplink.put([(name, records[-1])])
            # Now and then they have nothing to say for longer than they stay awake.
            time.sleep(0.6 if len(sent["roamer-1"]) % 20 == 0 else 0.05)
    assert not uplink.answers.refused
    held = on_stream(ground.settings)
    for name, records in sent.items():
        mine = [json.loads(data)["event_id"] for data in held if name.encode() in data]
        assert list(dict.fromkeys(mine)) == [json.loads(data)["event_id"] for data in records], "lost, or out of order"
    assert uplink.answers.acknowledged == sum(map(len, sent.values()))
