"""The index of an answer: what is in it, why it is kept, for how long, who gets it, and what rights there are."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any

from contracts.columns import Column, Privacy
from contracts.derived import DEVICE_DAY, EPISODE, FAULT_DAY, TRIP
from contracts.erasable import Scope
from contracts.portable import Part
from contracts.processing import Store, classes, classes_of, processing
from contracts.record import LANDING
from contracts.regions import Region
from privacy.export.writing import Written

RIGHTS = (
    ("Access", "GDPR Art. 15", "To know what is kept of you, and to have a copy. This is the copy."),
    ("Rectification", "GDPR Art. 16", "To have what is wrong put right."),
    ("Erasure", "GDPR Art. 17", "To have it erased, where no law and no claim needs it."),
    (
        "Restriction",
        "GDPR Art. 18",
        "To have it kept and not used, while it is disputed or needed for a claim of yours.",
    ),
    ("Portability", "GDPR Art. 20", "To have it in a form that machines read, and to have it sent to another."),
    ("Objection", "GDPR Art. 21", "To object to its use, for reasons of your own situation."),
    (
        "Complaint",
        "GDPR Art. 77",
        "To complain to a supervisory authority, where you live, work, or where it went wrong.",
    ),
    (
        "Data of a product",
        "Data Act (EU) 2023/2854 Art. 4, 5",
        "As the user of a machine: its data, for you or a third party.",
    ),
)
CLASSES: Mapping[Privacy, str] = {
    Privacy.IDENTIFIER: "names a device or a person",
    Privacy.ORGANISATION: "names a customer",
    Privacy.PSEUDONYM: "stands for a device or a person",
    Privacy.CREDENTIAL: "proves who speaks",
    Privacy.LOCATION: "where the device was",
    Privacy.BEHAVIOUR: "how it was used",
    Privacy.FREE_TEXT: "whatever the device sent",
    Privacy.TECHNICAL: "how the message travelled",
    Privacy.AGGREGATE: "over many, names nobody",
}
_COLUMNS: Mapping[str, tuple[Column, ...]] = {
    "records": LANDING,
    "trips": TRIP,
    "device_days": DEVICE_DAY,
    "episodes": EPISODE,
    "fault_days": FAULT_DAY,
}
SOURCE = "The devices sent the records; fleets entered the registry; all else is derived from these (Art. 15(1)(g))."
DECISIONS = "No decision about a person is made from it by machine alone (Art. 15(1)(h), 22)."
TRANSFERS = (
    "Personal data does not leave the region. What leaves is aggregates that name nobody (Art. 15(1)(c), (2), 44)."
)


def index_of(
    region: Region,
    scope: Scope,
    request_id: str,
    written: Sequence[tuple[Part, Written]],
    expires_at: datetime | None,
) -> dict[str, Any]:
    """The index as `index.json` has it."""
    return {
        "request_id": request_id,
        "region": region.name,
        "legal_regime": region.legal_regime,
        "controller": region.controller or "to be asked of whoever gave you this",
        "contact": region.privacy_contact or "to be asked of whoever gave you this",
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "link_ends_at": None if expires_at is None else expires_at.astimezone(UTC).isoformat(timespec="seconds"),
        "about": {
            "subject": scope.subject,
            "devices": [
                {"device_id": one.device_id, "from": _text(one.start), "to": _text(one.end)} for one in scope.portions
            ],
        },
        "parts": [_part(part, done) for part, done in written],
        "stores": [_store(store, region) for store in processing().stores if store.name in _used(written)],
        "source": SOURCE,
        "decisions": DECISIONS,
        "transfers": TRANSFERS,
        "rights": [{"right": right, "article": article, "says": says} for right, article, says in RIGHTS],
    }


def page_of(index: Mapping[str, Any]) -> str:
    """The index as a page that a person reads: one file, nothing of it is fetched."""
    from jinja2 import Environment

    source = files(__package__).joinpath("index.html.j2").read_text(encoding="utf-8")
    return Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(source).render(**index)


def _used(written: Sequence[tuple[Part, Written]]) -> set[str]:
    return {part.store for part, _ in written}


def _part(part: Part, done: Written) -> dict[str, Any]:
    known = {column.name: column for column in _COLUMNS.get(part.name, ())}
    table = classes().get(part.title, {})
    return {
        "name": part.name,
        "title": part.title,
        "what": part.doc,
        "store": part.store,
        "rows": done.rows,
        "files": [f"data/{name}" for name in done.files],
        "columns": [_column(name, known.get(name), table.get(name)) for name in done.columns],
    }


def _column(name: str, column: Column | None, kind: Privacy | None) -> dict[str, str]:
    said = {"name": name}
    if column is not None:
        said |= {"what": column.doc, "unit": column.unit or ""}
    found = column.privacy if column is not None else kind
    return said | ({"class": found.value, "class_says": CLASSES[found]} if found else {})


def _store(store: Store, region: Region) -> dict[str, Any]:
    known = processing()
    return {
        "name": store.name,
        "title": store.title,
        "holds": [CLASSES[kind] for kind in classes_of(store, classes())],
        "purposes": [known.purposes[name] for name in store.purposes],
        "recipients": [known.recipients[name] for name in store.recipients],
        "kept": store.kept.format(days=region.retention_days, region=region.name),
    }


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat()
