"""The suppression list is copied once a version, and a restored database gets back what it lacks."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from contracts.names import SUPPRESSION_COPIES
from deploy.suppression import restore, s3_of, save
from tests.conftest import RunningStack

ENTER = "insert into privacy.suppression (device_hmac) values (decode(%s, 'hex'))"
LISTED = "select encode(device_hmac, 'hex') from privacy.suppression order by version"


@pytest.fixture
def place(stack: RunningStack) -> Iterator[tuple[Any, Any, str]]:
    """An empty list in a transaction that is taken back, and the lake that copies go to."""
    settings = stack.settings("af")
    s3 = s3_of(settings)
    with psycopg.connect(settings.privacy_dsn.get_secret_value()) as connection:
        connection.execute("delete from privacy.suppression")
        yield connection, s3, settings.bucket
        connection.rollback()
    for key in copies(s3, settings.bucket):
        s3.delete_object(Bucket=settings.bucket, Key=key)


def copies(s3: Any, bucket: str) -> list[str]:
    return [one["Key"] for one in s3.list_objects_v2(Bucket=bucket, Prefix=SUPPRESSION_COPIES).get("Contents", [])]


def listed(connection: Any) -> list[str]:
    return [digest for (digest,) in connection.execute(LISTED).fetchall()]


def test_an_empty_list_has_no_copy(place: tuple[Any, Any, str]) -> None:
    assert save(*place) is None
    assert restore(*place) == 0


def test_a_version_is_copied_once(place: tuple[Any, Any, str]) -> None:
    connection, s3, bucket = place
    connection.execute(ENTER, ["aa"])
    assert save(*place) == save(*place)
    connection.execute(ENTER, ["bb"])
    save(*place)
    assert len(copies(s3, bucket)) == 2


def test_a_restored_list_gets_back_what_it_lacks_and_keeps_what_it_has(place: tuple[Any, Any, str]) -> None:
    connection, _, _ = place
    for digest in ("aa", "bb", "cc"):
        connection.execute(ENTER, [digest])
    save(*place)
    connection.execute("delete from privacy.suppression where device_hmac <> decode('aa', 'hex')")
    assert restore(*place) == 2
    assert sorted(listed(connection)) == ["aa", "bb", "cc"]
    assert restore(*place) == 0
