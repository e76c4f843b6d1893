"""What Spark runs of this machine left behind when they were killed: shuffle files and blocks of rows."""

import shutil
import time
from datetime import timedelta
from pathlib import Path

SCRATCH_KEPT = timedelta(days=3)
"""No run takes so long: what is older is nobody's."""
_MADE_BY_SPARK = ("blockmgr-*", "spark-*", "artifacts")


def scratch_folder(state: Path) -> Path:
    """Where local sessions write what does not fit in memory."""
    return state / "spark"


def sweep_scratch(state: Path, kept: timedelta = SCRATCH_KEPT) -> int:
    """Delete folders that no run has written to for so long; how many."""
    swept, before = 0, time.time() - kept.total_seconds()
    for pattern in _MADE_BY_SPARK:
        for folder in scratch_folder(state).glob(pattern):
            if folder.is_dir() and _newest(folder) < before:
                shutil.rmtree(folder, ignore_errors=True)
                swept += 1
    return swept


def _newest(folder: Path) -> float:
    """When something in it was written last."""
    times = [folder.stat().st_mtime]
    for path in folder.rglob("*"):
        try:
            times.append(path.stat().st_mtime)
        except OSError:
            continue
    return max(times)
