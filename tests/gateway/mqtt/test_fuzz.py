"""A million damaged packets: no crash, no stall, bounded memory, few log lines (long; a sample of them otherwise)."""

import random
import resource
import time
from collections import Counter

import pytest
import structlog

from gateway.connections.refusal_log import LINES_A_REASON, LINES_EVERY_S, RefusalLog
from gateway.metrics import Metrics
from gateway.mqtt.encode import encode
from gateway.mqtt.packets import Ack, Disconnect, Ping, Subscribe, Version, Will
from gateway.mqtt.properties import Kind, Property
from gateway.mqtt.session import ConnectReceived, Ended, MessageReceived, ServerSession, SessionLimits
from tests.builders.foreign_packets import foreign
from tests.builders.mqtt import connect, publish

SLOWEST_S = 0.1
"""CPU time of one packet; nearly all take microseconds."""


def seeds(version: Version) -> list[bytes]:
    """Packets to damage: CONNECT first; this project's, and those that paho, gmqtt and mqtt5 write."""
    v5 = version is Version.V5
    made = {Property.USER_PROPERTY: [("a", "b")], Property.TOPIC_ALIAS: 3} if v5 else {}
    asked = {Property.RECEIVE_MAXIMUM: 9, Property.MAXIMUM_PACKET_SIZE: 200} if v5 else {}
    return [
        connect(version, "d1", user_name="d1", password=b"p", will=Will("t", b"w"), keep_alive_s=9, properties=asked),
        publish("v1/devices/d1/telemetry", b'{"device_id":"d1"}', version=version, qos=1, packet_id=7, properties=made),
        publish("v1/devices/d1/telemetry", b"{}" * 90, version=version),
        publish("t", b"x", version=version, qos=2, packet_id=9),
        encode(Ack(Kind.PUBREL, 9), version),
        encode(Subscribe(4, [("a/#", 1)]), version),
        encode(Ping(Kind.PINGREQ), version),
        encode(Disconnect(), version),
        *(data for _, data, _ in foreign(version)),
    ]


def damaged(dice: random.Random, packet: bytes) -> bytes:
    """The packet with bytes changed, cut, doubled or inserted."""
    data = bytearray(packet)
    for _ in range(dice.randint(1, 3)):
        place, how = dice.randrange(len(data)), dice.random()
        if how < 0.6:
            data[place] = dice.randrange(256)
        elif how < 0.75:
            del data[place : place + dice.randint(1, 4)]
        elif how < 0.9:
            data[place:place] = dice.randbytes(dice.randint(1, 4))
        else:
            data += data[place:]
        if not data:
            return b"\0"
    return bytes(data)


@pytest.mark.parametrize("packets", [20_000, pytest.param(1_000_000, marks=pytest.mark.long)])
def test_damaged_packets_end_sessions_and_nothing_else(packets: int) -> None:
    dice, ends, slowest, sessions, fed = random.Random(9), Counter[str](), 0.0, 0, 0
    originals = {version: seeds(version) for version in Version}
    refusals, began_s = RefusalLog(Metrics(), time.monotonic), time.monotonic()
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with structlog.testing.capture_logs() as lines:
        while fed < packets:
            version = dice.choice(list(Version))
            session, ended = ServerSession(SessionLimits(packet_bytes=4_096)), None
            sessions += 1
            for place in range(40):
                packet = originals[version][0] if not place and dice.random() < 0.9 else dice.choice(originals[version])
                piece = damaged(dice, packet) if place and dice.random() < 0.5 else packet
                began = time.thread_time()
                session.receive_data(piece)
                ended = _play(session)
                slowest = max(slowest, time.thread_time() - began)
                fed += 1
                if ended is not None:
                    ends[ended.reason.label] += 1
                    refusals.line("gateway.session_ended", ended.reason.label, detail=ended.text, source="127.0.0.1")
                    break
    grown_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb
    print(f"{fed:,} packets, {sessions:,} sessions, slowest {slowest * 1e3:.1f} ms, grown {grown_kb} KB, {dict(ends)}")
    took_s = time.monotonic() - began_s
    print(f"{len(lines)} log lines of {sum(ends.values()):,} sessions that ended, in {took_s:.0f} s")
    windows = 1 + took_s / LINES_EVERY_S
    assert 0 < len(lines) <= windows * len(ends) * (LINES_A_REASON + 1)
    assert slowest < SLOWEST_S
    assert grown_kb < 16 * 1024
    assert ends["malformed_packet"] > sessions / 10
    assert "unspecified_error" not in ends


def _play(session: ServerSession) -> Ended | None:
    """Answer whatever comes; the end, if it came."""
    while (event := session.next_event()) is not None:
        if isinstance(event, ConnectReceived):
            session.accept()
        elif isinstance(event, MessageReceived):
            session.settle(event.delivery)
        else:
            return event
    session.data_to_send()
    return None
