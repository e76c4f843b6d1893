"""How processing shares a machine with ingest: it gives way.

Where one machine does everything, Spark and dbt want every core for minutes, while a device's newest position is to be
in Redis within seconds. On AWS each has machines of its own, and this changes nothing.
"""

import os

NICENESS = 19
"""The lowest: where cores are short, processing gets what ingest leaves (sched(7))."""


def give_way(pid: int = 0) -> None:
    """Lower the priority of a process, this one by default, and of what it starts from now on."""
    now = os.getpriority(os.PRIO_PROCESS, pid)
    os.setpriority(os.PRIO_PROCESS, pid, max(now, NICENESS))
