"""One device's rows of one Parquet file: only the row groups that can hold them, deletes honoured."""

from datetime import timedelta
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from pyarrow import fs

from lake.trail.counted_files import Account, KeptFiles
from lake.trail.parquet_rows import device_rows, open_file
from lake.trail.wanted import Wanted
from tests.builders.query import DAY, Rows, as_object, device_name

STORE = fs.LocalFileSystem()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "landed.parquet"
    file.write_bytes(as_object(Rows().make(devices=50, each=200), row_group=500))
    return file


def test_the_rows_are_those_that_an_independent_reader_finds(path: Path) -> None:
    start, end = DAY + timedelta(minutes=30), DAY + timedelta(minutes=90)
    rows = device_rows(STORE, str(path), Wanted((device_name(7),), start, end), Account())
    query = "select record_id from read_parquet(?) where device_id = ? and ts >= ? and ts < ?"
    expected = duckdb.execute(query, [str(path), device_name(7), start, end]).fetchall()
    assert sorted(rows.column("record_id").to_pylist()) == sorted(value for (value,) in expected)
    assert rows.num_rows == 60


def test_row_groups_of_other_devices_are_not_fetched(path: Path) -> None:
    whole, one = Account(), Account()
    for number in range(50):
        device_rows(STORE, str(path), Wanted((device_name(number),), DAY, DAY + timedelta(days=1)), whole)
    device_rows(STORE, str(path), Wanted((device_name(7),), DAY, DAY + timedelta(days=1)), one)
    footer = Account()
    absent = device_rows(STORE, str(path), Wanted(("zzz",), DAY, DAY + timedelta(days=1)), footer)
    assert absent.num_rows == 0
    assert footer.bytes < one.bytes < path.stat().st_size / 4 + footer.bytes
    assert (one.files, whole.files) == (1, 50)


def test_a_file_says_what_it_would_take_before_it_is_read(path: Path) -> None:
    account = Account()
    opened = open_file(
        STORE, str(path), Wanted((device_name(7), device_name(40)), DAY, DAY + timedelta(days=1)), account
    )
    before, expected = account.bytes, opened.bytes
    assert opened.rows().num_rows == 400
    assert 0 < expected <= account.bytes - before < path.stat().st_size / 2


def test_deleted_positions_are_left_out(path: Path) -> None:
    wanted = Wanted((device_name(7),), DAY, DAY + timedelta(days=1))
    gone = pa.chunked_array([pa.array([1400, 1401, 1599], pa.int64())])
    kept = device_rows(STORE, str(path), wanted, Account(), [gone])
    every = device_rows(STORE, str(path), wanted, Account())
    left = set(every.column("ts").to_pylist()) - set(kept.column("ts").to_pylist())
    assert left == {DAY + timedelta(minutes=minute) for minute in (0, 1, 199)}
    assert pc.count_distinct(every.column("record_id")).as_py() == 200


def test_small_files_are_kept_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(KeptFiles, "MOST_BYTES", 800)
    kept = KeptFiles()
    for number in range(9):
        kept.keep(f"m{number}.avro", bytes([number]) * 100)
        assert kept.get("m0.avro") == bytes(100)
    assert kept.get("m1.avro") is None
    assert kept.get("m8.avro") == b"\x08" * 100
    kept.keep("large.avro", bytes(101))
    assert kept.get("large.avro") is None
