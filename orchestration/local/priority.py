"""How processing shares a machine with ingest: it gives way.

Where one machine does everything, Spark and dbt want every core for minutes, while a device's newest position is to be
in Redis within seconds. On AWS each has machines of its own, and this changes nothing.
"""

import os

from contracts.errors import BadSettings

VARIABLE = "FLEETLAKE_PROCESSING_NICENESS"
DEFAULT = 10
"""Where cores are short, processing gets a tenth of what ingest gets: a step is a factor of 1.25 (sched(7))."""
MOST = 19


def niceness() -> int:
    """Of processing, 0 to 19. Raises BadSettings."""
    text = os.environ.get(VARIABLE) or str(DEFAULT)
    if not text.isascii() or not text.isdigit() or int(text) > MOST:
        raise BadSettings(f"{VARIABLE} is {text!r}: a whole number from 0 (as all else) to {MOST} (last of all)")
    return int(text)


def give_way(pid: int = 0) -> None:
    """Lower the priority of a process, this one by default, and of what it starts from now on. Raises BadSettings."""
    now = os.getpriority(os.PRIO_PROCESS, pid)
    os.setpriority(os.PRIO_PROCESS, pid, max(now, niceness()))
