"""Packets as other libraries write them, with what they mean."""

from types import SimpleNamespace
from typing import Any

import gmqtt
import mqtt5
import paho.mqtt.client as paho
from gmqtt.mqtt.package import DisconnectPacket, LoginPackageFactor, PublishPacket, SubscribePacket, UnsubscribePacket
from gmqtt.mqtt.utils import IdGenerator
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties as PahoProperties

from gateway.mqtt.packets import Connect, Disconnect, Packet, Ping, Publish, Subscribe, Unsubscribe, Version, Will
from gateway.mqtt.properties import Kind, Property

TOPIC, BODY = "v1/devices/d1/telemetry", b'{"device_id":"d1"}'
Written = list[tuple[str, bytes, Packet]]
"""Library, bytes, and the packet that they are."""


class _Paho(paho.Client):
    """A client whose packets go nowhere."""

    def __init__(self, version: Version) -> None:
        super().__init__(paho.CallbackAPIVersion.VERSION2, "c1", protocol=paho.MQTTProtocolVersion(int(version)))
        self.written: list[bytes] = []
        self._sock = SimpleNamespace(close=lambda: None)

    def _packet_queue(self, command: int, packet: Any, mid: int, qos: int, info: Any = None) -> Any:
        self.written.append(bytes(packet))
        return paho.MQTT_ERR_SUCCESS

    def __del__(self) -> None:
        """There is no socket to close."""


def of_paho(version: Version) -> Written:
    """CONNECT with all fields, PUBLISH of each QoS, SUBSCRIBE, UNSUBSCRIBE, PINGREQ, DISCONNECT."""
    client, v5 = _Paho(version), version is Version.V5
    asked = told = None
    if v5:
        asked, told = PahoProperties(PacketTypes.CONNECT), PahoProperties(PacketTypes.PUBLISH)
        asked.ReceiveMaximum, asked.UserProperty = 9, ("a", "b")  # type: ignore[attr-defined]
        told.TopicAlias, told.ContentType = 3, "json"  # type: ignore[attr-defined]
    client.username_pw_set("d1", "secret")
    client.will_set("w/t", b"gone", 1, False)
    client._connect_properties = asked
    client._send_connect(60)
    for qos in range(3):
        client._send_publish(7, TOPIC.encode(), BODY, qos, False, False, None, told)
    options: Any = [(b"a/#", paho.SubscribeOptions(1, noLocal=True) if v5 else 1)]
    client._send_subscribe(False, options)
    client._send_unsubscribe(False, [b"a/#"])
    client._send_pingreq()
    client._send_disconnect()
    properties = {Property.RECEIVE_MAXIMUM: 9, Property.USER_PROPERTY: [("a", "b")]} if v5 else {}
    of_message = {Property.TOPIC_ALIAS: 3, Property.CONTENT_TYPE: "json"} if v5 else {}
    meant: list[Packet] = [
        Connect(version, "c1", True, 60, "d1", b"secret", Will("w/t", b"gone", 1), properties),
        *(Publish(TOPIC, BODY, qos, 7 if qos else 0, properties=dict(of_message)) for qos in range(3)),
        Subscribe(1, [("a/#", 5 if v5 else 1)]),
        Unsubscribe(2, ["a/#"]),
        Ping(Kind.PINGREQ),
        Disconnect(),
    ]
    return [("paho", data, packet) for data, packet in zip(client.written, meant, strict=True)]


def of_gmqtt(version: Version) -> Written:
    """The same, without PINGREQ."""
    v5 = version is Version.V5
    protocol: Any = SimpleNamespace(proto_ver=int(version), proto_name=b"MQTT", id_generator=IdGenerator(max=65_535))
    properties: dict[str, Any] = {"receive_maximum": 9, "user_property": ("a", "b")} if v5 else {}
    will = gmqtt.Message("w/t", b"gone", qos=1)
    written: Written = [
        (
            "gmqtt",
            bytes(LoginPackageFactor.build_package("c1", b"d1", b"secret", True, 60, protocol, will, **properties)),
            Connect(
                version,
                "c1",
                True,
                60,
                "d1",
                b"secret",
                Will("w/t", b"gone", 1),
                {Property.RECEIVE_MAXIMUM: 9, Property.USER_PROPERTY: [("a", "b")]} if v5 else {},
            ),
        )
    ]
    for qos in range(3):
        told = {"topic_alias": 3, "content_type": "json"} if v5 else {}
        packet_id, data = PublishPacket.build_package(gmqtt.Message(TOPIC, BODY, qos=qos, **told), protocol)
        meant = {Property.TOPIC_ALIAS: 3, Property.CONTENT_TYPE: "json"} if v5 else {}
        written.append(("gmqtt", bytes(data), Publish(TOPIC, BODY, qos, packet_id or 0, properties=meant)))
    packet_id, data = SubscribePacket.build_package([gmqtt.Subscription("a/#", qos=1)], protocol)
    written.append(("gmqtt", bytes(data), Subscribe(packet_id, [("a/#", 1)])))
    packet_id, data = UnsubscribePacket.build_package(["a/#"], protocol)
    written.append(("gmqtt", bytes(data), Unsubscribe(packet_id, ["a/#"])))
    written.append(("gmqtt", bytes(DisconnectPacket.build_package(protocol)), Disconnect()))
    return written


def of_mqtt5() -> Written:
    """The Rust codec's, of 5 alone."""
    will = mqtt5.Will("w/t", payload=b"gone", qos=mqtt5.QoS.AT_LEAST_ONCE, content_type="text")
    connect = mqtt5.ConnectPacket(
        "c1", username="d1", password=b"secret", clean_start=True, will=will, keep_alive=60, receive_max=9
    )
    meant = Connect(
        Version.V5,
        "c1",
        True,
        60,
        "d1",
        b"secret",
        Will("w/t", b"gone", 1, properties={Property.CONTENT_TYPE: "text"}),
        {Property.RECEIVE_MAXIMUM: 9},
    )
    publish = mqtt5.PublishPacket(TOPIC, BODY, qos=mqtt5.QoS.AT_LEAST_ONCE, packet_id=7, topic_alias=3)
    filters = [mqtt5.TopicFilter("a/#", max_qos=mqtt5.QoS.AT_LEAST_ONCE, retain_as_published=False)]
    return [
        ("mqtt5", connect.write(), meant),
        ("mqtt5", publish.write(), Publish(TOPIC, BODY, 1, 7, properties={Property.TOPIC_ALIAS: 3})),
        ("mqtt5", mqtt5.SubscribePacket(4, filters).write(), Subscribe(4, [("a/#", 1)])),
        ("mqtt5", mqtt5.UnsubscribePacket(5, ["a/#"]).write(), Unsubscribe(5, ["a/#"])),
        ("mqtt5", mqtt5.PingReqPacket().write(), Ping(Kind.PINGREQ)),
        ("mqtt5", mqtt5.DisconnectPacket().write(), Disconnect()),
    ]


def foreign(version: Version) -> Written:
    """All of a version."""
    return of_paho(version) + of_gmqtt(version) + (of_mqtt5() if version is Version.V5 else [])
