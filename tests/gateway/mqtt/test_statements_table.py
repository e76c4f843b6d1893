"""docs/reference/mqtt-statements.md: no statement is missing, none stands twice, each named test exists."""

import re
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "reference" / "mqtt-statements.md").read_text()
ROWS = [[cell.strip() for cell in row.split("|")[1:-1]] for row in PAGE.splitlines() if row.startswith("| ")]
BODY = [row for row in ROWS if row[0] != "3.1.1"]
OLD = """1.5.3:3 2.2.2:2 2.3.1:7 3.1.0:2 3.1.2:24 3.1.3:11 3.1.4:5 3.2.0:1 3.2.2:6 3.3.1:12 3.3.2:3 3.3.4:1 3.3.5:2
3.6.1:1 3.8.1:1 3.8.3:4 3.8.4:6 3.9.3:2 3.10.1:1 3.10.3:2 3.10.4:6 3.12.4:1 3.14.1:1 3.14.4:3 4.1.0:2 4.3.1:1
4.3.2:2 4.3.3:2 4.4.0:1 4.5.0:2 4.6.0:6 4.7.1:3 4.7.2:1 4.7.3:4 4.8.0:2 6.0.0:4 7.0.0:2 7.1.1:1 7.1.2:1"""
NEW = """1.5.4:3 1.5.5:1 1.5.7:1 2.1.3:1 2.2.1:2-6 2.2.2:1 3.1.0:2 3.1.2:30 3.1.3:12 3.1.4:6 3.2.0:2 3.2.2:22 3.3.1:13
3.3.2:20 3.3.4:10 3.4.2:3 3.5.2:3 3.6.1:1 3.6.2:3 3.7.2:3 3.8.1:1 3.8.3:5 3.8.4:8 3.9.2:2 3.9.3:2 3.10.1:1
3.10.3:2 3.10.4:6 3.11.2:2 3.11.3:2 3.12.4:1 3.14.0:1 3.14.1:1 3.14.2:4 3.14.4:3 3.15.1:1 3.15.2:3 4.1.0:2
4.2.0:1 4.3.1:1 4.3.2:5 4.3.3:13 4.4.0:2 4.5.0:2 4.6.0:6 4.7.0:1 4.7.1:2 4.7.2:1 4.7.3:4 4.8.2:6 4.9.0:3
4.12.0:7 4.12.1:2 4.13.1:1 4.13.2:1 6.0.0:4"""
"""How many statements each section of the standards numbers."""


def numbered(counts: str) -> set[str]:
    found = set()
    for word in counts.split():
        section, _, many = word.partition(":")
        first, _, last = many.rpartition("-")
        found |= {f"{section}-{number}" for number in range(int(first or 1), int(last) + 1)}
    return found


def listed(cell: str) -> list[str]:
    """The statements of a cell such as `3.1.2-1, -2; 3.1.3-4`."""
    found = []
    for part in filter(None, cell.split("; ")):
        section, _, numbers = part.partition("-")
        found += [f"{section}-{number}" for number in numbers.split(", -")]
    return found


@pytest.mark.parametrize(("column", "counts"), [(0, OLD), (1, NEW)], ids=["3.1.1", "5"])
def test_every_statement_stands_there_once(column: int, counts: str) -> None:
    seen = Counter(number for row in BODY for number in listed(row[column]))
    assert [number for number, times in seen.items() if times > 1] == []
    assert set(seen) == numbered(counts)


def test_every_row_names_a_test_that_exists_or_says_why_it_cannot_occur() -> None:
    files = (ROOT / "tests" / "gateway").rglob("test_*.py")
    tests = {name for file in files for name in re.findall(r"^(?:async )?def (test_\w+)", file.read_text(), re.M)}
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    assert named - tests == set()
    assert [row for row in BODY if "`test_" not in row[3] and len(row[3].split()) < 3] == []
