"""The examples of the library guide, as they stand there."""

from pathlib import Path

GUIDE = Path(__file__).parents[2] / "docs" / "how-to" / "use-the-consumer-as-a-library.md"
HANDLER, CSV = 0, 1
_BEGIN, _END = "```python\n", "```"


def example(number: int) -> str:
    """The code of the guide's n-th example."""
    return GUIDE.read_text(encoding="utf-8").split(_BEGIN)[number + 1].partition(_END)[0]
