"""Marks of contributors to releases: keyed hashes, deleted with their cells frozen. Adapter of contracts.erasable.

What was published stands and is never restated: 12 contributors and then 11 would name the one who left.
"""

from collections.abc import Iterator, Sequence
from datetime import date, datetime
from typing import Any

import psycopg

from contracts.erasable import Counts, Portion, Remains, Scope
from contracts.settings import RegionSettings
from release.database import connect, transaction
from release.marks import WHO_BYTES, contributors, who

_READ = "select release, day, cell, version, contributors, devices from privacy.release_cell where day = any(%s)"
_DAYS = "select distinct release, day from privacy.release_cell order by day, release"
_WRITE = """
update privacy.release_cell set contributors = %s, devices = %s, frozen = true
where release = %s and day = %s and cell = %s and version = %s
"""
_FREEZE = "update privacy.release_cell set frozen = true where release = %s and day = %s and cell = any(%s)"


class ReleaseMarks:
    """privacy.release_cell."""

    name = "release"
    stores = ("privacy.release_cell",)

    def __init__(self, settings: RegionSettings) -> None:
        self._settings = settings
        self._key = settings.release_key.get_secret_value().encode()

    def count(self, scope: Scope) -> Counts:
        """Recorded versions of cells that rest on the scope's devices or on the person."""
        with transaction(self._settings.privacy_dsn) as privacy:
            return {"privacy.release_cell": sum(1 for _ in self._meant(privacy, scope))}

    def search(self, scope: Scope) -> Counts:
        """The same: a mark can be told by the region's key alone."""
        return self.count(scope)

    def erase(self, scope: Scope) -> Counts:
        """Delete the marks, and freeze the cells that had them in all their versions."""
        with transaction(self._settings.privacy_dsn) as privacy:
            found = list(self._meant(privacy, scope))
            for row, people, devices in found:
                privacy.execute(_WRITE, [people, devices, *row])
                privacy.execute(_FREEZE, [row[0], row[1], [row[2]]])
        with connect(self._settings.privacy_dsn, autocommit=True) as privacy:
            privacy.execute("vacuum (full, analyze) privacy.release_cell")
        return {"privacy.release_cell": len(found)}

    def expires(self, now: datetime) -> list[Remains]:
        """Nothing: what left the region names nobody."""
        return []

    def _meant(
        self, privacy: "psycopg.Connection[Any]", scope: Scope
    ) -> Iterator[tuple[tuple[Any, ...], list[bytes], list[bytes] | None]]:
        """Each version of a cell that has marks of the scope, with the marks that stay."""
        for release, day in privacy.execute(_DAYS).fetchall():
            names = self._names(scope, day)
            if not names:
                continue
            hashes = {who(self._key, release, day, name) for name in names}
            for *row, people, devices in privacy.execute(_READ, [[day]]).fetchall():
                if row[0] != release:
                    continue
                kept = [bytes(one) for one in people if bytes(one)[:WHO_BYTES] not in hashes]
                left = (
                    None if devices is None else [bytes(one) for one in devices if not _names_one(bytes(one), hashes)]
                )
                if len(kept) < len(people) or len(left or ()) < len(devices or ()):
                    yield tuple(row), kept, left

    def _names(self, scope: Scope, day: date) -> Sequence[str]:
        zone = self._settings.row.zone
        devices = [one.device_id for one in scope.portions if _meets(one, day, zone)]
        people = [scope.subject] if scope.subject else []
        # As device_uses names them, and without a prefix, as marks of the first form have them.
        return [*(f"d:{one}" for one in devices), *(f"s:{one}" for one in people), *devices, *people]


def _meets(portion: Portion, day: date, zone: Any) -> bool:
    first = portion.start.astimezone(zone).date() if portion.start else day
    last = portion.end.astimezone(zone).date() if portion.end else day
    return first <= day <= last


def _names_one(mark: bytes, hashes: set[bytes]) -> bool:
    """Whether a device's mark is of one of these: of the device, or with them among its contributors."""
    return mark[:WHO_BYTES] in hashes or not hashes.isdisjoint(contributors([mark]))
