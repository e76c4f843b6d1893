"""Every store that the contracts name has an adapter that erases from it, or a reason why it names nobody."""

import re
from datetime import UTC, datetime
from fnmatch import fnmatch

import pytest

from cli.erasables import erasables
from contracts import ddl, names
from contracts.erasable import Needles, Portion, Scope, total
from contracts.settings import RegionSettings
from contracts.stores import HOLDS_NOBODY, every_store
from ingest.worker.landing.janitor import _KEY
from lake.iceberg.tables import specs
from lake.merge.spans import hour_of_key
from reconcile.objects import _maker


@pytest.fixture(scope="module")
def settings(stack) -> RegionSettings:
    return stack.settings("af")


def test_every_store_has_an_adapter_or_a_reason_to_have_none(settings):
    covered = [store for one in erasables(settings).every for store in one.stores]
    without = [
        store for store in every_store() if not any(fnmatch(store, pattern) for pattern in (*covered, *HOLDS_NOBODY))
    ]
    assert without == []


def test_the_stores_are_those_that_there_are(settings):
    stores = set(every_store())
    tables = re.findall(r"create table if not exists ([a-z_]+\.[a-z_]+)", ddl.fleet() + ddl.privacy())
    assert set(tables) <= stores
    assert {f"iceberg:{spec.name}" for spec in specs(settings)} <= stores
    assert len([store for store in stores if store.startswith("redis:")]) == len(
        [name for name in vars(names) if name.startswith("redis_") and name != "redis_access_channel"]
    )


def test_a_store_is_either_erased_from_or_holds_nobody_not_both(settings):
    covered = [store for one in erasables(settings).every for store in one.stores]
    assert [store for store in covered if store in HOLDS_NOBODY] == []
    assert all(reason for reason in HOLDS_NOBODY.values())


def test_a_device_that_nothing_knows_is_found_nowhere(settings):
    scope = Scope((Portion("nobody-of-this-name"),))
    for one in erasables(settings).every:
        assert total(one.count(scope)) == 0, one.name
        assert total(one.search(scope)) == 0, one.name


def test_a_canary_is_found_where_it_was_planted_and_goes(settings):
    scope = Scope((Portion("canary-of-a-test"),), None, "0")
    canaries = erasables(settings).canaries
    stores = {store for one in canaries for store in one.plant(scope) + one.plant(scope)}
    assert {store.partition(":")[0].partition(".")[0] for store in stores} == {"s3", "registry", "redis", "privacy"}
    for one in canaries:
        assert {name for name, count in one.search(scope).items() if count} <= stores
        one.erase(scope)
        assert total(one.search(scope)) == 0
    assert stores == {store for one in canaries for store in one.search(scope)} & stores


@pytest.mark.parametrize(
    ("text", "hits"),
    [
        ("eu:latest:van-1", 1),
        ('{"device_id":"van-1","x":1}', 1),
        ("van-1-1795417366074", 1),
        ("van-1-idle-1795417366074", 1),
        ("van-10", 0),
        ("van-1-b", 0),
        ("caravan-1", 0),
        ("replayed:1a79a4d60de6718e8e5b326e338ae533:s:1:0", 0),
    ],
)
def test_a_name_is_found_as_a_word_and_in_ids_that_are_made_of_it(text, hits):
    assert Needles(["van-1"]).found_in(text) == hits


def test_the_hash_of_a_partition_key_is_found():
    needles = Needles(["van-1"])
    assert needles.found_in(b"replayed:" + needles.hashes[0] + b":shard:1:0") == 1


def test_a_rewritten_object_has_a_key_of_its_own_that_readers_parse_and_the_janitor_passes_over():
    hour = datetime(2026, 3, 1, 5, tzinfo=UTC)
    key = names.landing_key(hour, "shardId-000000000001", "0049", "0050", 7)
    once = names.rewritten_key(key)
    twice = names.rewritten_key(once)
    assert len({key, once, twice}) == 3
    assert names.original_keys(twice) == [once, key]
    assert names.original_keys(key) == []
    assert hour_of_key(twice) == hour
    assert _maker(twice) == ("shardId-000000000001", 7)
    assert _KEY.search(key)
    assert not _KEY.search(once)
