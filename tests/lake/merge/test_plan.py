"""Which objects go into which commit, and what a snapshot remembers of it."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from contracts.names import landing_key
from lake.merge.commit import merge_properties, merged_objects
from lake.merge.plan import Kind, OpenObject, plan

START = datetime(2026, 3, 10, tzinfo=UTC)
OBJECTS = st.lists(st.tuples(st.integers(0, 48), st.integers(1, 900)), max_size=60).map(
    lambda pairs: [OpenObject(f"k{place}", START + timedelta(hours=h), n) for place, (h, n) in enumerate(pairs)]
)


@given(OBJECTS)
def test_each_object_is_in_one_commit_and_commits_are_full(objects):
    made = plan(Kind.ON_TIME, objects, most_rows=1000)
    assert sorted(key for step in made for key in step.keys) == sorted(item.key for item in objects)
    assert all(step.rows <= 1000 for step in made)
    assert all(one.rows + other.objects[0].rows > 1000 for one, other in pairwise(made))


def test_an_object_larger_than_a_commit_may_be_goes_alone():
    big = OpenObject("big", START, 5000)
    assert [step.keys for step in plan(Kind.STRAGGLERS, [big], most_rows=1000)] == [["big"]]


def test_a_snapshot_remembers_a_days_objects_in_few_bytes():
    keys = [
        landing_key(START + timedelta(hours=hour), f"shardId-{shard:012}", str(10**55 + n), str(10**55 + n + 9), 3)
        for hour in range(24)
        for shard in range(4)
        for n in range(0, 100, 10)
    ]
    properties = merge_properties(Kind.STRAGGLERS, keys)
    assert merged_objects(properties) == (Kind.STRAGGLERS, keys)
    assert sum(map(len, properties.values())) < 40 * len(keys)
    assert merged_objects({"operation": "append"}) is None
