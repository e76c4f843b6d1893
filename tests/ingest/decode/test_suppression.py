"""What becomes of the records of erased devices."""

from ingest.decode import HashedSuppression, JsonDecoder, hashed_device
from tests.builders.ingest import SHARD, kinesis, payload


def test_a_suppressed_devices_record_that_cannot_be_placed_is_suppressed_and_not_kept_in_rejected() -> None:
    key = b"of the region"
    suppression = HashedSuppression(key, {hashed_device(key, "gone")}, version=3)
    early, no_time = payload(device_id="gone", ts=1), payload(device_id="gone", ts="yesterday")
    batch = JsonDecoder(suppression).decode(SHARD, kinesis([early, no_time, payload(device_id="here", ts=1)]))
    assert (batch.suppressed, batch.rows.num_rows, batch.rejected.num_rows) == (2, 0, 1)
    assert b"gone" not in b"".join(batch.rejected["data"].to_pylist())
