"""An MQTT connection on an event loop: a transport on one side, the sans-IO session on the other."""

import asyncio
from datetime import UTC, datetime
from enum import IntFlag, auto
from functools import partial
from typing import Any, cast

from gateway.connections.gate import Gate
from gateway.connections.sessions import Sessions
from gateway.identity.model import Identity
from gateway.intake.payload import records_of
from gateway.mqtt.inbound import Delivery
from gateway.mqtt.packets import Connect
from gateway.mqtt.reasons import Reason
from gateway.mqtt.session import (
    ConnectReceived,
    Ended,
    MessageReceived,
    ServerSession,
    SessionLimits,
    State,
)
from gateway.refusals import Refusal, Refused
from gateway.shapes.shapes import Split

PROTOCOL = "mqtt"
CLOSE_WITHIN_S = 5.0
"""For the last bytes to leave; then the connection is cut."""
FAR_S = 86_400.0
PATIENCE = 1.5
"""A client may be silent for so many times its keep-alive (3.1.2.10)."""
_PARTS = ("v1", "devices", "telemetry")


class Hold(IntFlag):
    """Why a connection is not read just now."""

    RATE = auto()
    PROCESS_FULL = auto()
    ANSWERS_UNREAD = auto()


class MqttConnection(asyncio.Protocol):
    """One connection. It is not read while its window is full, its device too fast, or the process full."""

    __slots__ = (
        *("_ended", "_gate", "_last_s", "_loop", "_own_topic", "_reading", "_session", "_sessions", "_source", "_task"),
        *("_answering", "_carried", "_expiry", "_holds", "_timer", "_transport", "identity"),
    )

    def __init__(self, gate: Gate, sessions: Sessions, limits: SessionLimits, *, carried: bool = False) -> None:
        """carried: by a connection of another protocol, which is the one that counts."""
        self.identity: Identity
        self._gate = gate
        self._carried = carried
        self._sessions = sessions
        self._session = ServerSession(limits)
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._expiry: asyncio.TimerHandle | None = None
        self._own_topic = ""
        self._source = ""
        self._last_s = 0.0
        self._holds = Hold(0)
        self._answering = False
        self._ended = False
        self._reading = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The handshake is done; CONNECT is due."""
        self._transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        self._source = str(peer[0]) if peer else ""
        if not self._carried:
            self._gate.metrics.connections.labels(PROTOCOL).inc()
        self._timer = self._loop.call_later(self._gate.limits.settings.connect_time_s, self._too_late)

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        self._last_s = self._loop.time()
        self._session.receive_data(data)
        self._pump()

    def pause_writing(self) -> None:
        """The client does not read its answers: it is not read either."""
        self._hold(Hold.ANSWERS_UNREAD)

    def resume_writing(self) -> None:
        """It reads again."""
        self._release(Hold.ANSWERS_UNREAD)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone, whoever ended it."""
        self._ended = True
        if not self._carried:
            self._gate.metrics.connections.labels(PROTOCOL).dec()
            self._gate.closed()
        if self._timer is not None:
            self._timer.cancel()
        if self._expiry is not None:
            self._expiry.cancel()
        if self._task is not None:
            self._task.cancel()
        if self._session.state is State.CONNECTED:
            self._gate.metrics.ended.labels("connection_lost").inc()
        if hasattr(self, "identity"):
            self._sessions.leave(self)

    def end(self, reason: Reason, text: str) -> None:
        """Tell the device and close."""
        self._session.end(reason, text)
        self._pump()

    def _pump(self) -> None:
        """Handle what was received, as far as may be, and write what there is to say."""
        session = self._session
        while not self._ended and (not self._holds or session.state is State.ENDED):
            event = session.next_event()
            if event is None:
                break
            if type(event) is MessageReceived:
                self._message(event.delivery)
            elif type(event) is ConnectReceived:
                self._task = self._loop.create_task(self._let_in(event.connect))
            elif type(event) is Ended:
                self._close(event)
        self._write()
        self._read_on(not (self._holds or session.window_full or session.state is State.AUTHENTICATING))

    async def _let_in(self, connect: Connect) -> None:
        certificate = self._certificate()
        try:
            identity = await self._gate.identify(
                certificate=certificate,
                name=connect.user_name,
                secret=connect.password,
                source=self._source,
                protocol=PROTOCOL,
            )
            self._login(identity)
        except Refused as refused:
            self._gate.metrics.connects.labels(refused.refusal.label).inc()
            self._session.refuse(refused.refusal.reason, str(refused))
        else:
            self._gate.metrics.connects.labels("accepted").inc()
            self._welcome(identity, connect)
        finally:
            if self._session.state is State.AUTHENTICATING:
                # By a fault of the program, or cancelled: nobody waits for an answer for ever.
                self._session.refuse(Reason.UNSPECIFIED_ERROR)
            self._task = None
            self._pump()

    def _login(self, identity: Identity) -> None:
        try:
            self._gate.limits.login(identity.device_id)
        except Refused as refused:
            self._gate.refusals.note(refused, PROTOCOL, identity.device_id, self._source)
            raise

    def _welcome(self, identity: Identity, connect: Connect) -> None:
        self.identity = identity
        self._own_topic = f"{_PARTS[0]}/{_PARTS[1]}/{identity.device_id}/{_PARTS[2]}"
        told = "wills are not kept: this server takes telemetry and publishes nothing" if connect.will else ""
        self._session.accept(assigned_id=None if connect.client_id else identity.device_id, told=told)
        self._sessions.enter(self)
        self._watch_silence()
        if identity.expires_at is not None:
            left_s = (identity.expires_at - datetime.now(UTC)).total_seconds()
            self._expiry = self._loop.call_later(min(left_s, FAR_S), self._expired)

    def _message(self, delivery: Delivery) -> None:
        """A message: at once, or once its device's and fleet's rates and the process have room."""
        wait_s = self._gate.limits.message_wait_s(self.identity, len(delivery.payload))
        if wait_s:
            self._hold(Hold.RATE)
            self._loop.call_later(wait_s, self._message_again, delivery)
            return
        self._gate.metrics.message(PROTOCOL, len(delivery.payload))
        try:
            split = self._split_of(delivery.topic)
            answer = partial(self._answered, delivery)
            told = delivery.qos > 0
            self._gate.intake.offer(self.identity, delivery.payload, answer, acknowledges=told, split=split)
        except Refused as refused:
            self._gate.refusals.note(refused, PROTOCOL, self.identity.device_id, self._source)
            self._session.settle(delivery, refused.refusal.reason, str(refused))
        if self._gate.intake.full:
            self._hold(Hold.PROCESS_FULL)
            self._gate.intake.when_resumed(partial(self._release, Hold.PROCESS_FULL))

    def _message_again(self, delivery: Delivery) -> None:
        if not self._ended:
            self._holds &= ~Hold.RATE
            self._message(delivery)
            self._pump()

    def _split_of(self, topic: str) -> Split:
        """How a topic's messages are taken apart. Raises Refused where it names a device that is not the sender's."""
        if topic == self._own_topic:
            return records_of
        parts = topic.split("/")
        if len(parts) == len(_PARTS) + 1 and (parts[0], parts[1], parts[3]) == _PARTS:
            if not self.identity.may_speak_for(parts[2]):
                raise Refused(Refusal.OTHER_DEVICE, "the topic is of another device than the sender's")
            return records_of
        split = self._gate.shapes.of_topic(topic, self.identity)
        if split is None:
            raise Refused(Refusal.BAD_TOPIC, "the topic is not v1/devices/DEVICE/telemetry, nor one of a shape")
        return split

    def _answered(self, delivery: Delivery, refused: Refused | None) -> None:
        """The stream has the message, or will not have it."""
        if self._ended:
            return
        if refused is None or not delivery.qos:
            self._session.settle(delivery)
        else:
            self._session.settle(delivery, refused.refusal.reason, str(refused))
        # One put answers several messages of a connection: their acknowledgements leave in one write.
        if not self._answering:
            self._answering = True
            self._loop.call_soon(self._answer)

    def _answer(self) -> None:
        self._answering = False
        if not self._ended:
            self._pump()

    def _hold(self, why: Hold) -> None:
        if not self._holds & why:
            self._gate.metrics.paused.labels(str(why.name).lower()).inc()
        self._holds |= why

    def _release(self, why: Hold) -> None:
        self._holds &= ~why
        if not self._ended:
            self._pump()

    def _read_on(self, wanted: bool) -> None:
        if wanted is self._reading or self._ended or self._transport.is_closing():
            return
        self._reading = wanted
        if wanted:
            self._last_s = self._loop.time()
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()

    def _write(self) -> None:
        data = self._session.data_to_send()
        if data and not self._transport.is_closing():
            self._transport.write(data)

    def _close(self, ended: Ended) -> None:
        if not ended.by_client:
            self._gate.refusals.line(
                "gateway.session_ended", ended.reason.label, detail=ended.text, source=self._source
            )
        self._gate.metrics.ended.labels("client" if ended.by_client else ended.reason.label).inc()
        self._write()
        self._ended = True
        if hasattr(self, "identity"):
            self._sessions.leave(self)
        self._transport.close()
        self._loop.call_later(CLOSE_WITHIN_S, self._transport.abort)

    def _too_late(self) -> None:
        if self._session.state is State.EXPECTS_CONNECT:
            self.end(Reason.KEEP_ALIVE_TIMEOUT, "no CONNECT came in time")

    def _watch_silence(self) -> None:
        """End a client that is silent for longer than it promised, unless it is this side that does not read."""
        if self._timer is not None:
            self._timer.cancel()
        patience_s = self._session.keep_alive_s * PATIENCE
        left_s = (self._last_s if self._reading else self._loop.time()) + patience_s - self._loop.time()
        if left_s > 0:
            self._timer = self._loop.call_later(left_s, self._watch_silence)
        else:
            self.end(Reason.KEEP_ALIVE_TIMEOUT, f"silent for {patience_s:.0f} s")

    def _expired(self) -> None:
        """The session ends with its credential; one that holds beyond FAR_S is looked at once an age."""
        if self.identity.expires_at is not None and self.identity.expires_at <= datetime.now(UTC):
            self.end(Reason.ADMINISTRATIVE_ACTION, "the session's credential has expired")

    def _certificate(self) -> bytes | None:
        tls: Any = self._transport.get_extra_info("ssl_object")
        der: bytes | None = tls.getpeercert(binary_form=True) if tls is not None else None
        return der
