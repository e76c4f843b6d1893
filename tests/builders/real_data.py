"""The real telemetry that tests may run on: where it is, and what is in it by an independent reading."""

import os
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pytest

PLACEABLE = "where regexp_full_match(device_id, '[A-Za-z0-9._:-]+')"
"""Rows whose device id the record contract allows; some trains' ids have a blank."""
FOLDER = Path(os.environ.get("FLEETLAKE_REAL_DATA", Path(__file__).parents[3] / "shared" / "data"))


@dataclass(frozen=True)
class RealFile:
    """One published file, the region it belongs to and the shipped mapping that reads it."""

    name: str
    region: str
    prefix: str
    """What the mapping puts before the file's device ids."""
    left_out: tuple[str, ...]
    """Columns that the mapping does not send, because they repeat others or say where a row was published."""
    has_positions: bool = True
    speed: tuple[str, float] = ("speed", 1.0)
    """The column of the speed, and what makes it km/h."""

    @property
    def path(self) -> Path:
        """Where the file is. Skips the test that asks where it is absent."""
        path = FOLDER / f"{self.name}.parquet"
        if not path.is_file():
            pytest.skip(f"no {path.name} in {FOLDER}; set FLEETLAKE_REAL_DATA to the folder with the real telemetry")
        return path

    def rows(self, where: str = "") -> int:
        """Rows of the file."""
        return int(self._one(f"select count(*) from read_parquet(?) {where}"))

    def distinct(self, where: str = "") -> int:
        """Records that differ in what is sent: the identity of a record without an event id is its content."""
        exclude = f"exclude ({', '.join(self.left_out)})" if self.left_out else ""
        return int(self._one(f"select count(*) from (select distinct * {exclude} from read_parquet(?) {where})"))

    def newest(self, where: str = "") -> dict[str, int]:
        """Epoch milliseconds of each device's newest record, by the device's id in the file."""
        rows = self._all(f"select device_id, epoch_ms(max(ts)) from read_parquet(?) {where} group by 1")
        return {device: int(newest) for device, newest in rows}

    def _all(self, query: str) -> list[tuple]:  # type: ignore[type-arg]
        return duckdb.execute(query, [str(self.path)]).fetchall()

    def _one(self, query: str) -> object:
        return self._all(query)[0][0]


BUS = RealFile(
    "us_austin_bus",
    "us",
    "capmetro-",
    ("vehicle_id", "timestamp", "latitude", "longitude", "source_file"),
    speed=("speed", 3.6),
)
RAIL = RealFile("ap_malaysia_rail", "ap", "ktmb-", ("source_file",))
ENVIROCAR = RealFile(
    "eu_germany_envirocar",
    "eu",
    "",
    ("source_file", "source_repo", "time", "longitude", "latitude"),
    speed=("Speed", 1.0),
)
KIT = RealFile("eu_germany_kit_obd2", "eu", "", ("Time", "source_file"), has_positions=False)
