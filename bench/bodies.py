"""The records that the process benchmarks send: made-up vehicles, or real telemetry where it is available.

FLEETLAKE_REAL_DATA names a folder with published files for which there is a mapping; FILES are replayed in turn.
"""

import json
import os
import random
from collections.abc import Iterator
from pathlib import Path

from bench.payloads import record
from devices.replay.feed import open_feed
from devices.replay.mapping import load_mapping
from tests.builders.kinesis_server import now_ms

FILES = ("eu_germany_envirocar", "us_austin_bus", "eu_germany_kit_obd2")
"""Files whose records are all valid, so that only the records broken on purpose are rejected."""


def bodies() -> Iterator[tuple[str, bytes]]:
    """Partition keys and JSON objects without event_id, endlessly."""
    folder = os.environ.get("FLEETLAKE_REAL_DATA")
    files = [Path(folder) / f"{name}.parquet" for name in FILES] if folder else []
    files = [path for path in files if path.is_file()]
    while files:
        for path in files:
            for some in open_feed(path, load_mapping(path.stem)).outgoing():
                yield from zip(some.keys, some.payloads, strict=True)
    yield from _made_up()


def _made_up() -> Iterator[tuple[str, bytes]]:
    chance, number = random.Random(11), 0
    while True:
        device, body = record(chance, 0, number, now_ms())
        number += 1
        yield device, json.dumps({**body, "ts": now_ms()}, separators=(",", ":")).encode()
