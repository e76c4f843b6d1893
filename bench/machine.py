"""What a benchmark reports, and the machine that it ran on."""

import os
import platform
from pathlib import Path

import msgspec
import psutil


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One measured figure, beside a peer's of the same run where it has one."""

    what: str
    value: float
    unit: str
    peer: str | None = None
    peer_value: float | None = None
    ratio: float | None = None
    """How many times better the value is than the peer's."""


def machine() -> str:
    """Processor, cores, memory and Python, in one line."""
    memory_gib = psutil.virtual_memory().total / 2**30
    return f"{_processor()}, {os.cpu_count()} cores, {memory_gib:.0f} GiB, Python {platform.python_version()}"


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
