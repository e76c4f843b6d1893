"""What hangs does not keep a process from ending."""

import asyncio
import subprocess
import sys
import threading
import time

import pytest

from ingest.runtime.offload import aside

_HANGS = """
import sys, threading
from ingest.service.one_worker import LastResort
last = LastResort(0.2)
last.arm()
{then}
threading.Thread(target=threading.Event().wait).start()
"""


def _run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)


def test_a_process_that_hangs_once_it_was_asked_to_end_ends_and_says_so() -> None:
    ended = _run(_HANGS.format(then=""))
    assert ended.returncode == 1
    assert "worker.not_ended" in ended.stdout + ended.stderr


def test_a_process_that_has_ended_by_itself_is_left_alone() -> None:
    code = _HANGS.format(then="last.disarm()").replace(
        "threading.Event().wait)", "lambda: threading.Event().wait(0.5))"
    )
    assert _run(code).returncode == 0


def test_work_aside_is_waited_for_so_long_and_no_longer() -> None:
    async def story() -> None:
        assert await aside(lambda: 7, within_s=30) == 7
        with pytest.raises(ZeroDivisionError):
            await aside(lambda: 1 // 0, within_s=30)
        for_ever = threading.Event()
        with pytest.raises(TimeoutError):
            await aside(for_ever.wait, within_s=0.05)

    started_s = time.monotonic()
    asyncio.run(story())
    assert time.monotonic() - started_s < 20
