"""The reference has every flag, with its bit."""

import re
from pathlib import Path

from contracts.record import BAD_POSITION, Flag

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "flags.md"


def test_the_reference_has_every_flag_with_its_bit_and_marks_bad_positions() -> None:
    rows = re.findall(r"^\| (\d+) \| `(\w+)`( \*)? \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert {name: int(bit) for bit, name, _ in rows} == {flag.name: flag.value for flag in Flag}
    assert sum(int(bit) for bit, _, bad in rows if bad) == BAD_POSITION
