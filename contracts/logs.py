"""The end of a process's log, for the message that says why it ended."""

import os
from pathlib import Path


def last_lines(log: Path, count: int = 8) -> str:
    """The end of a log, each line marked; `(no log)` where there is none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - 16_384))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return "(no log)"
    return "\n".join(f"  | {line[:300]}" for line in lines[-count:]) or "  | (empty)"
