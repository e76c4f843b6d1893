"""A device that speaks MQTT with QoS 1 and keeps what is not acknowledged."""

import asyncio
import contextlib
import random
import ssl

from gateway.mqtt.client import ClientSession
from gateway.mqtt.reasons import MqttError, Reason
from gateway.uplink.line import Line, Message

KEEP_ALIVE_S = 60
CONNECT_WITHIN_S = 30.0
UNDER_WAY = 1
"""Messages that a device has without an answer when its network changes: they are sent again from elsewhere."""
_LATER = (Reason.QUOTA_EXCEEDED, Reason.IMPLEMENTATION_SPECIFIC_ERROR, Reason.SERVER_BUSY)
"""Refusals that pass."""


class _RoamedError(Exception):
    """The device's network changed."""


class MqttLine(Line):
    """One device's connections, one after another."""

    async def converse(self) -> bool:
        """Connect, and send and hear until the connection ends."""
        session = ClientSession()
        unanswered: dict[int, Message] = {}
        writer: asyncio.StreamWriter | None = None
        let_in = False
        try:
            async with asyncio.timeout(CONNECT_WITHIN_S):
                reader, writer = await asyncio.open_connection(
                    self.endpoint.host, self.endpoint.port, ssl=self.tls, server_hostname=self.endpoint.server_name
                )
                writer.write(session.connect(self.device_id, keep_alive_s=KEEP_ALIVE_S))
                while session.connack is None:
                    session.receive(await _some(reader))
            if session.connack.reason:
                self.answers.refused[f"connect: {session.connack.reason.label}"] += 1
                return False
            let_in = True
            await self._exchange(session, reader, writer, unanswered)
        except _RoamedError:
            self.answers.roamed += 1
        except (OSError, ssl.SSLError, MqttError, TimeoutError, EOFError):
            self.answers.reconnects += 1
        finally:
            self.waiting.extendleft(reversed(unanswered.values()))
            if writer is not None and not writer.transport.is_closing():
                with contextlib.suppress(OSError, ssl.SSLError):
                    writer.write(session.disconnect())
                writer.close()
        return let_in

    async def _exchange(
        self,
        session: ClientSession,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        unanswered: dict[int, Message],
    ) -> None:
        """Send what waits as far as the window lets it, and hear answers. Ends by sleep, or by an error."""
        heard = asyncio.ensure_future(_some(reader))
        woken = asyncio.ensure_future(self.wake.wait())
        lasts_s = self.habits.roams_after_s * random.uniform(0.5, 1.5)  # noqa: S311 - no secret
        roams_s = asyncio.get_running_loop().time() + lasts_s
        try:
            while True:
                self.wake.clear()
                if asyncio.get_running_loop().time() < roams_s:
                    self._send(session, writer, unanswered)
                elif len(unanswered) <= UNDER_WAY:
                    writer.transport.abort()
                    raise _RoamedError
                await asyncio.wait((heard, woken), timeout=self._patience_s(), return_when=asyncio.FIRST_COMPLETED)
                if heard.done():
                    await self._hear(session, heard.result(), unanswered)
                    heard = asyncio.ensure_future(_some(reader))
                elif not woken.done() and not unanswered and self.habits.sleeps_after_s < KEEP_ALIVE_S / 2:
                    self.answers.slept += 1
                    return
                elif not woken.done():
                    writer.write(session.ping())
                if woken.done():
                    woken = asyncio.ensure_future(self.wake.wait())
        finally:
            heard.cancel()
            woken.cancel()
            await asyncio.gather(heard, woken, return_exceptions=True)

    def _patience_s(self) -> float:
        """How long nothing may happen before the device sleeps or pings."""
        return min(self.habits.sleeps_after_s, KEEP_ALIVE_S / 2)

    def _send(self, session: ClientSession, writer: asyncio.StreamWriter, unanswered: dict[int, Message]) -> None:
        while self.waiting and session.room > 0:
            message = self.waiting.popleft()
            packet_id, data = session.publish(f"v1/devices/{self.device_id}/telemetry", b"\n".join(message))
            unanswered[packet_id] = message
            writer.write(data)

    async def _hear(self, session: ClientSession, data: bytes, unanswered: dict[int, Message]) -> None:
        later = []
        for answer in session.receive(data):
            message = unanswered.pop(answer.packet_id, None)
            if message is None:
                continue
            if answer.reason < Reason.UNSPECIFIED_ERROR:
                self.acknowledged(message)
            elif answer.reason in _LATER:
                later.append(message)
            else:
                self.refused(message, Reason(answer.reason).label)
        if session.disconnected is not None:
            self.waiting.extendleft(reversed(later))
            raise EOFError
        if later:
            self.waiting.extendleft(reversed(later))
            await asyncio.sleep(1.0)


async def _some(reader: asyncio.StreamReader) -> bytes:
    data = await reader.read(65_536)
    if not data:
        raise EOFError("the gateway closed")
    return data
