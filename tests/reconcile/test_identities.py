"""Set operations on identities agree with Python's own sets."""

from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts.columns import TIMESTAMP
from reconcile.identities import (
    DEVICE_KEY,
    DIGEST,
    Identities,
    days_of,
    digest,
    first_of_each,
    missing,
    text_hashes,
)
from reconcile.proof import VERSION

Identity = tuple[str, int, str]
IDENTITIES = st.lists(st.tuples(st.sampled_from(["a", "b", "ab"]), st.integers(0, 3), st.sampled_from(["", "b", "x"])))


def table(identities: list[Identity]) -> pa.Table:
    columns = list(zip(*identities, strict=True)) or [(), (), ()]
    times = [datetime.fromtimestamp(1_700_000_000 + ts, UTC) for ts in columns[1]]
    return pa.table(
        {
            "device_id": pa.array(columns[0], pa.string()),
            "ts": pa.array(times, TIMESTAMP),
            "record_id": pa.array(columns[2], pa.string()),
        }
    )


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(IDENTITIES, IDENTITIES, st.integers(1, 3))
def test_distinct_and_missing_are_those_of_sets(
    tmp_path: Path, one: list[Identity], other: list[Identity], parts: int
) -> None:
    distinct = lacking = 0
    with Identities(tmp_path, "one", parts) as left, Identities(tmp_path, "other", parts) as right:
        left.add(digest(table(one)))
        right.add(digest(table(other)))
        for mine, theirs in zip(left.parts(), right.parts(), strict=True):
            once = mine[first_of_each(mine)]
            distinct += len(once)
            lacking += len(missing(once, theirs))
    assert distinct == len(set(one))
    assert lacking == len(set(one) - set(other))


def test_a_million_identities_stay_apart() -> None:
    made = pa.table(
        {
            "device_id": pa.array(["veh-1"] * 1_000_000),
            "ts": pa.array(np.arange(1_000_000, dtype="i8") * 1000, pa.int64()).cast(pa.timestamp("us", "UTC")),
            "record_id": pa.array(["b:same"] * 1_000_000),
        }
    )
    digests = digest(made)
    assert len(np.unique(digests["high"])) == len(np.unique(digests["low"])) == 1_000_000


def test_a_text_that_moves_to_the_next_column_is_another_identity() -> None:
    assert digest(table([("ab", 1, "")]))["high"] != digest(table([("a", 1, "b")]))["high"]


def test_days_are_named_in_order() -> None:
    assert days_of(digest(table([("a", 90_000, "x"), ("a", 0, "x")]))) == [date(2023, 11, 14), date(2023, 11, 15)]


def test_identities_that_share_half_a_digest_stay_apart() -> None:
    made = np.array([(7, 2, 0), (7, 1, 0), (7, 2, 0), (3, 9, 0)], DIGEST)
    assert len(missing(made, made[:1])) == 2
    assert len(missing(made, made)) == 0
    assert len(missing(made, made[:0])) == 4


def test_digests_are_those_that_were_kept() -> None:
    """Proofs keep sums of them: a change of one is another proof.VERSION."""
    assert VERSION == 1
    assert digest(table([("veh-0001", 5, "b:00ff"), ("a", 0, "")])).tolist() == [
        (10673950948620492033, 9627086072411726978, 1700000005000),
        (12990689716229461359, 5869057995599656211, 1700000000000),
    ]
    devices = pa.array(["veh-0001", "", None, "aaaaaaaaa"])
    kept = [12097384351267002321, 11820040416388919760, 13153227237958042018, 17933353154808288366]
    assert text_hashes(devices, DEVICE_KEY).tolist() == kept
    assert text_hashes(devices.slice(1), DEVICE_KEY).tolist() == kept[1:]
    assert text_hashes(devices.cast(pa.large_string()).fill_null("x").dictionary_encode(), DEVICE_KEY)[0] == kept[0]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.text(max_size=40), unique=True), st.integers(0, 3))
def test_texts_that_differ_have_hashes_that_differ(texts: list[str], cut: int) -> None:
    hashes = text_hashes(pa.array(texts, pa.string()).slice(cut), DEVICE_KEY)
    assert len(set(hashes.tolist())) == len(texts[cut:])
