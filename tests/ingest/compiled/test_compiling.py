"""Compiled code works wherever it is installed."""

from pathlib import Path

import pytest

from ingest.compiled import compiling


def _one_more(number: int) -> int:
    return number + 1


def _two_more(number: int) -> int:
    return number + 2


def test_what_python_calls_is_kept_beside_the_sources() -> None:
    made = compiling.entry(_one_more)
    assert made(1) == 2
    assert made.stats.cache_path.startswith(str(Path(compiling.__file__).parent))  # type: ignore[attr-defined]


def test_where_nothing_can_be_written_each_process_compiles_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise PermissionError("read-only")

    monkeypatch.setattr(Path, "mkdir", refused)
    made = compiling.entry(_two_more)
    assert made(1) == 3
    assert made.stats.cache_path is None  # type: ignore[attr-defined]
