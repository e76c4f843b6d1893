"""MQTT's data types (1.5): integers, lengths, texts and binary data."""

from gateway.mqtt.reasons import malformed

MOST_LENGTH_BYTES = 4
MAX_LENGTH = 268_435_455
"""The largest number that a variable byte integer holds (1.5.5)."""
MAX_TEXT = 65_535
_MORE = 0x80


class Reader:
    """Reads one packet's body from its start. Every method raises MqttError where the body ends too early."""

    __slots__ = ("_data", "_end", "at")

    def __init__(self, data: bytes, at: int = 0, end: int | None = None) -> None:
        self._data = data
        self.at = at
        self._end = len(data) if end is None else end

    @property
    def left(self) -> int:
        """Bytes that are not read yet."""
        return self._end - self.at

    def byte(self) -> int:
        """One byte."""
        return self._data[self._advance(1)]

    def two_bytes(self) -> int:
        """A two byte integer."""
        at = self._advance(2)
        return self._data[at] << 8 | self._data[at + 1]

    def four_bytes(self) -> int:
        """A four byte integer."""
        at = self._advance(4)
        return int.from_bytes(self._data[at : at + 4])

    def length(self) -> int:
        """A variable byte integer, in the fewest bytes (1.5.5)."""
        value = 0
        for place in range(MOST_LENGTH_BYTES):
            byte = self.byte()
            value |= (byte & 0x7F) << 7 * place
            if byte < _MORE:
                if place and not byte:
                    raise malformed("a variable byte integer has more bytes than it needs")
                return value
        raise malformed("a variable byte integer has more than four bytes")

    def binary(self) -> bytes:
        """Binary data behind its length of two bytes."""
        size = self.two_bytes()
        at = self._advance(size)
        return self._data[at : at + size]

    def text(self) -> str:
        """A UTF-8 text, without U+0000 and surrogates (1.5.4)."""
        try:
            text = self.binary().decode()
        except UnicodeDecodeError:
            raise malformed("a text is not UTF-8") from None
        if "\0" in text:
            raise malformed("a text holds U+0000")
        return text

    def rest(self) -> bytes:
        """Everything that is left."""
        at = self._advance(self.left)
        return self._data[at : self._end]

    def part(self, size: int) -> "Reader":
        """A reader of the next `size` bytes alone."""
        at = self._advance(size)
        return Reader(self._data, at, at + size)

    def finish(self) -> None:
        """Raises MqttError where bytes are left."""
        if self.left:
            raise malformed(f"{self.left} bytes follow the packet's end")

    def _advance(self, size: int) -> int:
        at = self.at
        if at + size > self._end:
            raise malformed("the packet ends within a field")
        self.at = at + size
        return at


def length(value: int) -> bytes:
    """A number as variable byte integer."""
    if not 0 <= value <= MAX_LENGTH:
        raise malformed(f"{value} does not fit a variable byte integer")
    made = bytearray()
    while True:
        value, byte = value >> 7, value & 0x7F
        made.append(byte | (_MORE if value else 0))
        if not value:
            return bytes(made)


def binary(data: bytes) -> bytes:
    """Binary data with its length before it."""
    if len(data) > MAX_TEXT:
        raise malformed(f"{len(data)} bytes do not fit a field of {MAX_TEXT}")
    return len(data).to_bytes(2) + data


def text(value: str) -> bytes:
    """A text with its length before it."""
    return binary(value.encode())
