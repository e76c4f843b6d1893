"""A ledger entry never exceeds what an item of DynamoDB may hold."""

from datetime import UTC, datetime
from typing import Any

import pytest

from contracts import ledger
from contracts.errors import BadSettings
from contracts.ledger import LandedObject, LedgerEntry, fits_the_ledger, ledger_item
from contracts.names import landing_key, rejected_key
from contracts.record import RejectReason
from contracts.settings import RegionSettings
from ingest.kinesis import Records
from ingest.kinesis.memory import MemoryStream
from ingest.landing import buffer
from tests.builders.consumer import World, broken_chains, record
from tests.builders.virtual_time import run_virtually, true_ms

HOUR = datetime(2026, 11, 29, tzinfo=UTC)
HOUR_MS = 3_600_000
LARGE = 10**12
NEEDED = {f"FLEETLAKE_{name}": "x" for name in ("REGION", "REDIS_URL", "POSTGRES_DSN", "PRIVACY_DSN", "RELEASE_KEY")}


def _largest(open_hours: int) -> LedgerEntry:
    """An entry of so many hours with every reason in each, and the longest of everything."""
    shard, sequence = "s" * 128, "4" * 56
    keys = [landing_key(HOUR, shard, sequence, sequence, LARGE)]
    keys += [rejected_key(reason.value, HOUR, shard, sequence, sequence, LARGE) for reason in RejectReason]
    numbers = {"rows": LARGE, "bytes": LARGE, "hour_ms": LARGE, "min_ts_ms": LARGE, "max_ts_ms": LARGE}
    objects = [LandedObject(key=key, kind="rejected", sha256="0" * 64, stragglers=LARGE, **numbers) for key in keys]
    counts = {"kinesis_records": LARGE, "user_records": LARGE, "landed": LARGE, "suppressed": LARGE}
    return LedgerEntry(
        shard_id=shard,
        after_seq=sequence,
        last_seq=sequence,
        fence=LARGE,
        worker="w" * 256,
        committed_ms=LARGE,
        watermark_ms=LARGE,
        rejected={reason.value: LARGE for reason in RejectReason},
        objects=objects * open_hours,
        trace_id="0" * 32,
        **counts,
    )


def test_a_flush_of_as_many_hours_as_may_be_open_fits_an_item_of_dynamodb() -> None:
    most = RegionSettings.load({**NEEDED, "FLEETLAKE_OPEN_HOURS": "72"}).open_hours
    entry = _largest(most)
    assert fits_the_ledger(entry)
    item = ledger_item(entry)
    assert sum(len(name) + len(value["S"]) for name, value in item.items()) < 400 * 1024
    with pytest.raises(BadSettings, match="FLEETLAKE_OPEN_HOURS: input should be less than or equal to 72"):
        RegionSettings.load({**NEEDED, "FLEETLAKE_OPEN_HOURS": "73"})


class ByHundred(MemoryStream):
    """Answers with a hundred records at most."""

    async def get_records(self, iterator: str, limit: int = 100, **more: Any) -> Records:
        """A hundred at most."""
        return await super().get_records(iterator, min(limit, 100), **more)


def test_a_flush_whose_entry_would_be_too_large_is_committed_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "MOST_ENTRY_BYTES", 1_300)
    monkeypatch.setattr(buffer, "worth_joining", lambda *_: False)

    async def story() -> None:
        world, hours_ago = World(), [3]
        world.stream = stream = ByHundred(1, now_ms=lambda: true_ms() - hours_ago[0] * HOUR_MS)
        for hour in range(3):
            for number in range(100):
                stream.put("d", record("d", 100 * hour + number, ts=true_ms() - 4 * HOUR_MS))
            hours_ago[0] -= 1
        report = await world.read_all(flush_age_s=3600)
        entries = await world.entries()
        assert (report.landed, report.flushes) == (300, 2)
        assert [len(entry.objects) for entry in entries] == [1, 2]
        assert all(fits_the_ledger(entry) for entry in entries)
        assert broken_chains(await world.leases.rows(), entries) == []
        assert sorted(await world.landed_ids(), key=int) == [str(number) for number in range(300)]

    run_virtually(story())
