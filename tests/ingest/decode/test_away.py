"""Records of devices that are at home in another region are refused, with a reason of their own."""

import pytest

from contracts.residency import away_hash, away_key
from ingest.decode import AwayDevices, HashedSuppression, JsonDecoder, hashed_device
from tests.ingest.decode.test_decoder import SHARD, kinesis, payload

KEY = away_key("key of the region")


def listed(*devices: str) -> AwayDevices:
    away = AwayDevices(KEY)
    away.replace({away_hash(KEY, device) for device in devices})
    return away


@pytest.mark.parametrize("plain", [True, False])
def test_a_foreign_record_is_set_aside_with_its_bytes_and_the_others_land(plain: bool) -> None:
    foreign = payload(device_id="of-us")
    decoder = JsonDecoder(away=listed("of-us"), plain=plain)
    batch = decoder.decode(SHARD, kinesis([payload(device_id="own"), foreign, payload(device_id="own")]))
    assert batch.rows["device_id"].to_pylist() == ["own", "own"]
    (rejected,) = batch.rejected.to_pylist()
    assert (rejected["reason"], rejected["data"]) == ("wrong_region", foreign)
    assert "of-us" not in rejected["error"]
    assert batch.adds_up


def test_it_is_foreign_whatever_its_time_and_erased_before_it_is_foreign() -> None:
    late = payload(device_id="of-us", ts="yesterday")
    batch = JsonDecoder(away=listed("of-us")).decode(SHARD, kinesis([late]))
    assert batch.rejected["reason"].to_pylist() == ["wrong_region"]
    key = b"k" * 32
    erased = HashedSuppression(key, {hashed_device(key, "of-us")}, version=1)
    batch = JsonDecoder(erased, away=listed("of-us")).decode(SHARD, kinesis([late]))
    assert (batch.suppressed, batch.rejected.num_rows) == (1, 0)


def test_the_list_may_change_between_batches() -> None:
    away = listed()
    decoder = JsonDecoder(away=away)
    assert decoder.decode(SHARD, kinesis([payload(device_id="of-us")])).rows.num_rows == 1
    away.replace({away_hash(KEY, "of-us")})
    assert decoder.decode(SHARD, kinesis([payload(device_id="of-us")])).rows.num_rows == 0
    away.replace(set())
    assert decoder.decode(SHARD, kinesis([payload(device_id="of-us")])).rows.num_rows == 1


def test_a_hash_tells_nothing_without_the_key_and_is_none_of_the_suppression_list() -> None:
    assert away_hash(KEY, "d") != away_hash(away_key("another region's key"), "d")
    assert away_hash(KEY, "d") != hashed_device(b"key of the region", "d")
