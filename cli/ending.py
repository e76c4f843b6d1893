"""How a command that runs until Ctrl-C learns that it is to end."""

import signal
import threading
from types import FrameType


def end_event() -> threading.Event:
    """Set once SIGINT or SIGTERM asks the command to end."""
    asked = threading.Event()

    def ask(_signal: int, _frame: FrameType | None) -> None:
        asked.set()

    signal.signal(signal.SIGINT, ask)
    signal.signal(signal.SIGTERM, ask)
    return asked
