"""The client's side of one connection, for the simulated fleet and for benchmarks: connect, publish, be answered."""

from dataclasses import dataclass

from gateway.mqtt.decode import decode
from gateway.mqtt.encode import encode
from gateway.mqtt.framing import Framer
from gateway.mqtt.packets import Ack, ConnAck, Connect, Disconnect, Packet, Ping, Publish, Version
from gateway.mqtt.properties import Kind, Property
from gateway.mqtt.reasons import Reason, protocol_error

MOST_PACKET_BYTES = 256 * 1024
_RECEIVE_MAXIMUM = 65_535
_LAST_ID = 65_535


@dataclass(frozen=True, slots=True)
class Answered:
    """The server's answer to a message of QoS 1."""

    packet_id: int
    reason: int
    text: str = ""


class ClientSession:
    """One connection of a client with QoS 1 messages.

    `receive` raises MqttError where the server breaks the protocol. Packet identifiers are those of messages without
    an answer; the caller keeps the messages themselves and sends them again on its next connection.
    """

    def __init__(self, version: Version = Version.V5) -> None:
        self.version = version
        self.connack: ConnAck | None = None
        self.disconnected: Disconnect | None = None
        self.waiting: set[int] = set()
        self._framer = Framer(MOST_PACKET_BYTES)
        self._last_id = 0

    @property
    def room(self) -> int:
        """Messages that may be sent before the next answer."""
        if self.connack is None or self.connack.reason:
            return 0
        most: int = self.connack.properties.get(Property.RECEIVE_MAXIMUM, _RECEIVE_MAXIMUM)
        return most - len(self.waiting)

    def connect(
        self, client_id: str, *, user_name: str | None = None, password: bytes | None = None, keep_alive_s: int = 60
    ) -> bytes:
        """The bytes of CONNECT."""
        packet = Connect(self.version, client_id, True, keep_alive_s, user_name, password)
        return encode(packet, self.version)

    def publish(self, topic: str, payload: bytes, *, dup: bool = False) -> tuple[int, bytes]:
        """A free packet identifier, and the bytes of PUBLISH with it."""
        packet_id = self._next_id()
        self.waiting.add(packet_id)
        return packet_id, encode(Publish(topic, payload, 1, packet_id, dup=dup), self.version)

    def ping(self) -> bytes:
        """The bytes of PINGREQ."""
        return encode(Ping(Kind.PINGREQ), self.version)

    def disconnect(self) -> bytes:
        """The bytes of DISCONNECT."""
        return encode(Disconnect(), self.version)

    def receive(self, data: bytes) -> list[Answered]:
        """Take received bytes; the answers in them."""
        self._framer.feed(data)
        answers = []
        while (frame := self._framer.next()) is not None:
            answered = self._handle(decode(frame, self.version))
            if answered is not None:
                answers.append(answered)
        return answers

    def _handle(self, packet: Packet) -> Answered | None:
        if isinstance(packet, Ack) and packet.kind is Kind.PUBACK:
            self.waiting.discard(packet.packet_id)
            return Answered(packet.packet_id, packet.reason, packet.properties.get(Property.REASON_STRING, ""))
        if isinstance(packet, ConnAck):
            self.connack = packet
        elif isinstance(packet, Disconnect):
            self.disconnected = packet
        elif not isinstance(packet, Ping):
            raise protocol_error(f"a server does not send this packet: {type(packet).__name__}")
        return None

    def _next_id(self) -> int:
        while True:
            self._last_id = self._last_id % _LAST_ID + 1
            if self._last_id not in self.waiting:
                return self._last_id


def refusal_of(connack: ConnAck) -> str:
    """Why a CONNACK refuses, for people."""
    text = connack.properties.get(Property.REASON_STRING, "")
    return f"{Reason(connack.reason).label}{f': {text}' if text else ''}"
