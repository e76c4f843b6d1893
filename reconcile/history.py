"""R4: history holds each identity once, exactly those that were merged from landing."""

import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs
from pyiceberg.table import Table

from contracts.identity import IDENTITY
from contracts.settings import RegionSettings
from reconcile.counting import ByDay, added, count_records
from reconcile.files import FilesByDay, files_by_day, read_files
from reconcile.identities import Identities, days_of, digest, first_of_each, missing, parts_for, together
from reconcile.landed import Landed, Late, Merges, merged_mask
from reconcile.model import Findings, counted, named
from reconcile.objects import Objects
from reconcile.proof import Proof, ProvenDay, SeenObject, Sums
from reconcile.scope import Days, Landing, days_between, split_days, split_landing

READERS = 4
_COLUMNS = (*IDENTITY, "flags")


class Seen(msgspec.Struct, kw_only=True):
    """What R4 saw, for the next proof and for R5."""

    files: FilesByDay
    """Of history's current snapshot."""
    days: dict[date, ProvenDay]
    objects: dict[str, SeenObject]
    """Landed objects, all of whose rows are in history."""
    unsettled: set[date] = set()
    """Days that hold rows of objects that are not marked as merged yet: no later proof builds on them."""


def check_history(
    settings: RegionSettings,
    store: fs.FileSystem,
    table: Table | None,
    landed: list[Landed],
    merges: Merges,
    objects: Objects,
    gone: int,
    expired: Mapping[date, int],
    proof: Proof | None,
    findings: Findings,
) -> Seen:
    """Counts the stages `history`, `expired`, `duplicates`, `unmerged`. table: history at a snapshot, None before any.

    gone: merged rows whose objects landing's retention has passed; history holds at most so many that landing has not.
    expired: rows that retention removed from history, by UTC event day; history lacks at most so many of landing's.
    proof: what is as it says is not read. Where a difference is found then, only a proof of the whole says what it is.
    """
    files = files_by_day(settings, table, findings)
    landing = split_landing(landed, objects.listed, proof)
    with tempfile.TemporaryDirectory(prefix="reconcile-") as folder:
        parts = parts_for(sum(item.rows for item in landed) + gone)
        names = ("known", "history", "merged", "unmerged")
        known, new, merged, unmerged = sides = [Identities(Path(folder), name, parts) for name in names]
        with known, new, merged, unmerged:
            reading = _Reading(settings, store, objects)
            reading.read_landing(landing.to_read, merged, unmerged)
            merged_rows = merged.rows + sum(item.rows for item in landing.kept)
            days = split_days(files, proof, landing, reading.merged_days)
            reading.read_again(landing, days, proof, merged)
            seen = reading.read_history(table, files, days, known, new)
            _check_known(days, reading.known_sums, proof, findings)
            sums = _compare(sides, gone, expired, findings)
    seen.unsettled = sums.unsettled
    forgotten = findings.accepted.records("unlisted")
    in_history = sum(day.sums.rows for day in seen.days.values())
    # What was proven earlier is distinct: only what is read is counted by its identities.
    removed = sum(expired.values())
    if proof is None:
        distinct = sums.distinct_merged + sums.forgotten + sums.gone + removed - sums.expired
    else:
        distinct = in_history - sums.unmarked + removed
    duplicates = merged_rows + forgotten + gone - distinct
    findings.count("history", in_history)
    findings.count("expired", removed)
    findings.count("duplicates", duplicates)
    findings.count("unmerged", unmerged.rows - sums.unmarked)
    findings.add("landed", forgotten)
    findings.add("forgotten", forgotten)
    reading.late.note(unmerged.rows - sums.unmarked, findings)
    if not sums.unmarked:
        _check_merges(merges, merged_rows + forgotten + gone, in_history + removed, duplicates, findings)
    seen.objects |= {item.key: proof.objects[item.key] for item in landing.kept if proof}
    return seen


class _Reading:
    """Reads landing and history, and keeps what it saw."""

    def __init__(self, settings: RegionSettings, store: fs.FileSystem, objects: Objects) -> None:
        self._settings, self._store, self._listed = settings, store, objects.listed
        self._objects: dict[str, SeenObject] = {}
        self.late = Late(settings.straggler_wait_h)
        self.merged_days: set[date] = set()
        """Event days of merged rows."""
        self.known_sums: dict[date, Sums] = {}
        """Of the rows of files that count as proven."""

    def read_landing(self, items: list[Landed], merged: Identities, unmerged: Identities) -> None:
        """Which identities merges have read, and which wait."""
        for item, rows in _landing_rows(self._settings, self._store, items):
            digests, is_merged = digest(rows), merged_mask(item, rows).to_numpy()
            merged.add(digests[is_merged])
            unmerged.add(digests[~is_merged])
            self.late.add(item, rows)
            self.merged_days |= set(days_of(digests[is_merged]))
            listed = self._listed.get(item.key)
            if listed and item.merged == item.rows == rows.num_rows:
                days = days_of(digests)
                first, last = (days[0], days[-1]) if days else (None, None)
                self._objects[item.key] = SeenObject(listed.size, listed.etag, item.rows, first, last)

    def read_again(self, landing: Landing, days: Days, proof: Proof | None, merged: Identities) -> None:
        """What objects that were seen hold of days of which nothing counts as proven."""
        if proof is None or not days.whole:
            return
        items = [item for item in landing.kept if not days.whole.isdisjoint(days_between(proof.objects[item.key]))]
        wanted = np.array(sorted(days.whole), "datetime64[D]")
        for _, rows in _landing_rows(self._settings, self._store, items):
            digests = digest(rows)
            of_day = digests["ts_ms"].astype("datetime64[ms]").astype("datetime64[D]")
            merged.add(digests[np.isin(of_day, wanted)])

    def read_history(
        self, table: Table | None, files: FilesByDay, days: Days, known: Identities, new: Identities
    ) -> Seen:
        """The identities of the days to read, and what each of them sums up to."""
        made = dict(days.kept)
        for day, plan in days.read.items():
            total, counts = Sums(), []
            for tasks, side in ((plan.known, known), (plan.new, new)):
                if not tasks or table is None:
                    continue
                for batch in read_files(table, tasks, _COLUMNS):
                    digests = digest(batch)
                    side.add(digests)
                    total = total.plus(_sums_of(digests))
                    counts.append(count_records(batch, self._settings.row.time_zone))
                if side is known:
                    self.known_sums[day] = total
            of_day: ByDay = added(counts)
            if day in files:
                made[day] = ProvenDay(files=frozenset(files[day]), sums=total, counted=of_day)
        return Seen(files=files, days=made, objects=self._objects)


def _sums_of(digests: np.ndarray) -> Sums:
    high, low = (int(digests[half].sum(dtype="u8")) for half in ("high", "low"))
    return Sums(len(digests), high, low)


def _check_known(days: Days, found: Mapping[date, Sums], proof: Proof | None, findings: Findings) -> None:
    """What counts as proven adds up to what was proven; a day that has lost all of its files, too."""
    if proof is None:
        return
    odd = [day for day in sorted(days.read.keys() - days.whole) if found.get(day, Sums()) != proof.days[day].sums]
    if odd:
        findings.differs(
            "R4",
            f"history holds other rows than the last proof has seen, in the UTC event days {_dates(odd)}; "
            "run reconcile --whole, which says which",
        )


class _Sums(msgspec.Struct, kw_only=True):
    distinct_merged: int = 0
    forgotten: int = 0
    """Records of history that no landing object holds and whose loss from the ledger was accepted."""
    gone: int = 0
    """... and those whose landing object has outlived landing's retention."""
    expired: int = 0
    """Records of landing that retention removed from history."""
    unmarked: int = 0
    """Identities that history has from objects that are not marked as merged."""
    unsettled: set[date] = set()
    """Their event days."""


def _compare(sides: list[Identities], gone: int, expired: Mapping[date, int], findings: Findings) -> _Sums:
    sums = _Sums()
    twice, lost, extra = [], [], []
    for known, new, in_merged, waiting in zip(*(side.parts() for side in sides), strict=True):
        in_history = together(known, new)
        twice.append(in_history[~first_of_each(in_history)])
        distinct = in_merged[first_of_each(in_merged)]
        sums.distinct_merged += len(distinct)
        lost.append(missing(distinct, in_history))
        beyond = missing(new[first_of_each(new)], distinct)
        unknown = missing(beyond, waiting)
        extra.append(unknown)
        if len(unknown) < len(beyond):
            sums.unmarked += len(beyond) - len(unknown)
            sums.unsettled |= set(days_of(missing(beyond, unknown)))
    beyond_all = np.concatenate(extra)
    sums.gone = min(len(beyond_all), gone)
    sums.forgotten = min(len(beyond_all) - sums.gone, findings.accepted.records("unlisted"))
    lacking, sums.expired = _without_expired(np.concatenate(lost), expired)
    _report(np.concatenate(twice), lacking, beyond_all, sums, findings)
    if sums.unmarked:
        findings.note(
            "R4",
            f"records in history whose landing objects are not marked as merged yet: {sums.unmarked:,}; "
            "a merge is under way or was killed after its commit; the next one marks them",
        )
    return sums


def _without_expired(lost: np.ndarray, expired: Mapping[date, int]) -> tuple[np.ndarray, int]:
    """What history lacks beyond what retention removed of each day, and how many it lacks for that."""
    left, taken = dict(expired), 0
    kept = np.ones(len(lost), bool)
    for place, day in enumerate(
        lost["ts_ms"].astype("datetime64[ms]").astype("datetime64[D]").tolist() if left else ()
    ):
        if left.get(day, 0):
            left[day] -= 1
            kept[place], taken = False, taken + 1
    return lost[kept], taken


def _report(twice: np.ndarray, lost: np.ndarray, extra: np.ndarray, sums: _Sums, findings: Findings) -> None:
    if len(twice):
        findings.differs(
            "R4",
            f"history has {counted(len(twice), 'row')} whose identity it already has, in the UTC event days "
            f"{_named(twice)}; something wrote to history.telemetry without the merge: roll back that snapshot",
        )
    if len(lost):
        findings.differs(
            "R4",
            f"history lacks {counted(len(lost), 'record')} of landing objects that are marked as merged, in the "
            f"UTC event days {_named(lost)}; clear on_time_merged and stragglers_merged of those hours in "
            "ops.landing_object and run process: merging again adds only what is missing",
        )
    unknown = len(extra) - sums.forgotten - sums.gone
    if unknown:
        accepted = f" ({sums.forgotten:,} more are accepted as forgotten by the ledger)" if sums.forgotten else ""
        findings.differs(
            "R4",
            f"history has {counted(unknown, 'record')} that no landing object of the ledger holds, in "
            f"the UTC event days {_named(extra)}{accepted}; look for a lost row of ops.landing_object or for "
            "a write past the merge",
        )


def _check_merges(merges: Merges, read: int, in_history: int, duplicates: int, findings: Findings) -> None:
    for what, said, held in (
        ("rows read", merges.rows_read, read),
        ("rows inserted", merges.inserted, in_history),
        ("duplicates", merges.duplicates, duplicates),
    ):
        if said != held:
            findings.differs(
                "R4",
                f"the merges say {said:,} {what} in ops.merge but the stores hold {held:,}; "
                "compare ops.merge with the snapshots of history.telemetry",
            )


def _named(digests: np.ndarray) -> str:
    return _dates(days_of(digests))


def _dates(days: list[date]) -> str:
    return named([str(day) for day in days])


def _landing_rows(
    settings: RegionSettings, store: fs.FileSystem, landed: list[Landed]
) -> Iterator[tuple[Landed, pa.Table]]:
    """Identities of each object, a few objects ahead; one that is not there was reported by R3."""

    def read(item: Landed) -> pa.Table | None:
        try:
            with store.open_input_file(f"{settings.bucket}/{item.key}") as source:
                return pq.read_table(source, columns=list(IDENTITY))
        except FileNotFoundError:
            return None

    with ThreadPoolExecutor(READERS, thread_name_prefix="landing") as pool:
        for start in range(0, len(landed), READERS):
            few = landed[start : start + READERS]
            for item, rows in zip(few, pool.map(read, few), strict=True):
                if rows is not None:
                    yield item, rows
