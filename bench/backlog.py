"""The memory of one worker that reads a backlog of KPL aggregates, as large as Kinesis' answers get, on all shards."""

from bench.consumer import SHARDS, whole_path
from bench.rows import Row

MOST_MIB = 700


def run() -> list[Row]:
    """The peak memory of the process, beside that with plain records; fails above MOST_MIB."""
    plain, kpl = whole_path("plain", workers=1), whole_path("kpl", workers=1)
    assert kpl["peak_mib"] <= MOST_MIB, f"{kpl['peak_mib']:.0f} MiB are more than {MOST_MIB}"
    what = f"peak memory, {SHARDS} shards of KPL aggregates unread"
    ratio = kpl["peak_mib"] / plain["peak_mib"]
    row = Row(
        what=what, value=kpl["peak_mib"], unit="MiB", peer="plain records", peer_value=plain["peak_mib"], ratio=ratio
    )
    return [row]
