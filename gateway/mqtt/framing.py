"""Cuts a connection's bytes into packets (2.1)."""

from typing import NamedTuple

from gateway.mqtt.primitives import MOST_LENGTH_BYTES
from gateway.mqtt.reasons import MqttError, Reason, malformed

_MORE = 0x80


class Frame(NamedTuple):
    """One packet: its first byte (type and flags), and its body behind the remaining length."""

    first: int
    body: bytes


class Framer:
    """Buffers bytes until they make a packet. What it buffers is bounded by what is fed and never read: a packet that
    says it is larger than `most` bytes is refused by its header.
    """

    __slots__ = ("_at", "_buffer", "_most")

    def __init__(self, most: int) -> None:
        self._most = most
        self._buffer = b""
        self._at = 0

    @property
    def buffered(self) -> int:
        """Bytes that are not read yet."""
        return len(self._buffer) - self._at

    @property
    def next_first(self) -> int | None:
        """The first byte of the next packet, whole or not; None where nothing is buffered."""
        return self._buffer[self._at] if self.buffered else None

    def feed(self, data: bytes) -> None:
        """Add received bytes."""
        self._buffer = self._buffer[self._at :] + data if self.buffered else data
        self._at = 0

    def next(self) -> Frame | None:
        """The next whole packet, or None. Raises MqttError for a length that is malformed or too large."""
        buffer, start = self._buffer, self._at
        if len(buffer) < start + 2:
            return None
        size, body = buffer[start + 1], start + 2
        if size >= _MORE:
            found = self._long_size(start + 1)
            if found is None:
                return None
            size, body = found
        if size + body - start > self._most:
            raise MqttError(Reason.PACKET_TOO_LARGE, f"a packet of {size} bytes exceeds {self._most}")
        end = body + size
        if end > len(buffer):
            return None
        self._at = end
        frame = Frame(buffer[start], buffer[body:end])
        if end == len(buffer):
            self._buffer, self._at = b"", 0
        return frame

    def _long_size(self, at: int) -> tuple[int, int] | None:
        """The remaining length and where the body begins; None where its end is not there yet."""
        buffer, size = self._buffer, 0
        for place in range(MOST_LENGTH_BYTES):
            if at + place >= len(buffer):
                return None
            byte = buffer[at + place]
            size |= (byte & 0x7F) << 7 * place
            if byte < _MORE:
                return size, at + place + 1
        raise malformed("a remaining length has more than four bytes")
