"""The messages of one connection, from PUBLISH to their answers: topic aliases, the window, the order, QoS 2."""

from collections import deque
from dataclasses import dataclass

from gateway.mqtt.packets import Publish, Version
from gateway.mqtt.properties import Property
from gateway.mqtt.reasons import MqttError, Reason, protocol_error

MOST_UNRELEASED = 1_000
"""Messages of QoS 2 whose PUBREL may be outstanding."""
_EXACTLY_ONCE = 2


@dataclass(slots=True, eq=False)
class Delivery:
    """One received message, until it is settled."""

    topic: str
    payload: bytes
    qos: int
    packet_id: int
    outcome: Reason | None = None
    """None until it is settled."""
    text: str = ""


class Inbound:
    """Messages that are not answered yet.

    Promises
    - Answers are due in the order of their PUBLISH (4.6), each only after its delivery was settled.
    - A message of QoS 2 is delivered once, however often it is sent before its PUBREL (3.1.1: 4.3.3).
    - What is held is bounded by the window, and the packet identifiers of QoS 2 by MOST_UNRELEASED.
    """

    __slots__ = ("_aliases", "_most_aliases", "_once", "_unanswered", "_window", "open")

    def __init__(self, window: int, most_aliases: int) -> None:
        self.open = 0
        """Messages that are not settled."""
        self._window, self._most_aliases = window, most_aliases
        self._aliases: dict[int, str] = {}
        self._unanswered: deque[Delivery] = deque()
        self._once: set[int] = set()
        """Packet identifiers of QoS 2, from PUBLISH to PUBREL."""

    @property
    def is_full(self) -> bool:
        """Whether the client has to wait for answers."""
        return self.open >= self._window or len(self._unanswered) >= self._window

    @property
    def unreleased_too_many(self) -> bool:
        """Whether the client goes on with QoS 2 and never sends PUBREL."""
        return len(self._once) > MOST_UNRELEASED

    def receive(self, packet: Publish, version: Version) -> Delivery | None:
        """The delivery of a message; None where it was delivered before, and only its answer is due again."""
        if version is Version.V5:
            self._check(packet)
        if not packet.topic:
            raise MqttError(Reason.TOPIC_NAME_INVALID, "the topic name is empty")
        if packet.qos == _EXACTLY_ONCE:
            if packet.packet_id in self._once:
                self._unanswered.append(Delivery(packet.topic, b"", packet.qos, packet.packet_id, Reason.SUCCESS))
                return None
            self._once.add(packet.packet_id)
        delivery = Delivery(packet.topic, packet.payload, packet.qos, packet.packet_id)
        self.open += 1
        if packet.qos:
            self._unanswered.append(delivery)
        return delivery

    def settle(self, delivery: Delivery, outcome: Reason, text: str) -> None:
        """Keep what became of a message."""
        delivery.outcome, delivery.text = outcome, text
        self.open -= 1

    def due(self) -> list[Delivery]:
        """The messages whose answers are due, once."""
        unanswered, due = self._unanswered, []
        while unanswered and unanswered[0].outcome is not None:
            due.append(unanswered.popleft())
        return due

    def release(self, packet_id: int) -> bool:
        """PUBREL came: the identifier is free. False where it was."""
        known = packet_id in self._once
        self._once.discard(packet_id)
        return known

    def _check(self, packet: Publish) -> None:
        """What 5 forbids, with the topic put in place of its alias (3.3.2.3.4)."""
        if packet.retain:
            raise MqttError(Reason.RETAIN_NOT_SUPPORTED, "nothing is retained here")
        if packet.qos == _EXACTLY_ONCE:
            raise MqttError(Reason.QOS_NOT_SUPPORTED, "QoS 2 is not offered")
        alias = packet.properties.get(Property.TOPIC_ALIAS)
        if alias is None:
            if not packet.topic:
                raise protocol_error("neither topic nor alias")
            return
        if not 0 < alias <= self._most_aliases:
            raise MqttError(Reason.TOPIC_ALIAS_INVALID, f"topic alias {alias}")
        if packet.topic:
            self._aliases[alias] = packet.topic
        elif alias in self._aliases:
            packet.topic = self._aliases[alias]
        else:
            raise protocol_error(f"topic alias {alias} has no topic yet")
