"""What happened in a history: lines to read, and a digest to compare."""

from hashlib import blake2b


class Trace:
    """Lines in the order in which things happened. Promise: the same history gives the same digest."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def add(self, at_s: float, who: str, what: str) -> None:
        """Something happened."""
        self.lines.append(f"{at_s:10.3f}  {who:8}  {what}")

    def digest(self) -> str:
        """Of all lines."""
        return blake2b("\n".join(self.lines).encode(), digest_size=16).hexdigest()
