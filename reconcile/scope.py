"""What a proof has to read: everything, or what is not as the last proof that held has seen it."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import date, timedelta

import msgspec
from pyiceberg.table import FileScanTask

from reconcile.files import FilesByDay
from reconcile.landed import Landed
from reconcile.proof import Proof, ProvenDay, SeenObject
from reconcile.stores import Listed


class Landing(msgspec.Struct, frozen=True):
    """The landed objects, by whether they are as a proof has seen them."""

    kept: list[Landed]
    """Wholly merged, and with the bytes that were seen: not read."""
    to_read: list[Landed]
    shaken: set[date]
    """Event days of what a proof has seen in an object that is another one now, or that is to be merged again."""


class Day(msgspec.Struct, frozen=True):
    """A UTC event day of which history is read."""

    known: list[FileScanTask] = []
    """Their rows were proven, as were the objects that they came from: they have the sum that was kept."""
    new: list[FileScanTask] = []
    """Their rows have to be in the landing objects that are read."""


class Days(msgspec.Struct, frozen=True):
    """The event days of history."""

    read: dict[date, Day]
    kept: dict[date, ProvenDay]
    whole: set[date]
    """Days to read of which nothing counts as proven: all landing of theirs is read, too."""


def split_landing(landed: Iterable[Landed], listed: Mapping[str, Listed], proof: Proof | None) -> Landing:
    """Which objects to read. listed: the bucket's."""
    kept, to_read, shaken = [], [], set()
    for item in landed:
        seen = proof.objects.get(item.key) if proof else None
        if proof and seen and item.merged == item.rows and _same(proof, item, listed.get(item.key)):
            kept.append(item)
            continue
        to_read.append(item)
        if seen:
            shaken |= set(days_between(seen))
    return Landing(kept, to_read, shaken)


def split_days(files: FilesByDay, proof: Proof | None, landing: Landing, newly_merged: set[date]) -> Days:
    """Which event days to read. newly_merged: those of merged rows in objects that are read.

    A day that has all the files of the proof, and more, is read, and only its new rows are looked for in landing. A day
    whose files were rewritten is read to see that its sum is the same. Where rows were merged into it, too, or an
    object of it is another one, nothing of it counts as proven.
    """
    days = Days({}, {}, set())
    proven = proof.days if proof else {}
    for day in files.keys() | proven.keys() | newly_merged:
        tasks, was = files.get(day, {}), proven.get(day)
        complete = was is not None and was.files <= tasks.keys()
        if was is None or day in landing.shaken or (day in newly_merged and not complete):
            days.whole.add(day)
            days.read[day] = Day(new=list(tasks.values()))
        elif not complete:
            days.read[day] = Day(known=list(tasks.values()))
        elif day in newly_merged or len(tasks) > len(was.files):
            known = [task for mark, task in tasks.items() if mark in was.files]
            days.read[day] = Day(known, [task for mark, task in tasks.items() if mark not in was.files])
        else:
            days.kept[day] = was
    return days


def days_between(seen: SeenObject) -> Iterator[date]:
    """The event days that the object's rows may be of."""
    if seen.first_day is None or seen.last_day is None:
        return
    for number in range((seen.last_day - seen.first_day).days + 1):
        yield seen.first_day + timedelta(days=number)


def _same(proof: Proof, item: Landed, listed: Listed | None) -> bool:
    return listed is not None and proof.same_object(item.key, listed.size, listed.etag, item.rows)
