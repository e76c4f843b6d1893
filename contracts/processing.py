"""What is processed where, for what, for whom and how long: the stores, and the privacy class of each column of theirs.

contracts/processing.toml lists the stores, contracts/classes.toml the columns of Postgres that no schema of contracts
has. dbt's models say theirs in their YAML (marts.classes).
"""

import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import msgspec

from contracts.columns import Column, Privacy
from contracts.derived import DEVICE_DAY, EPISODE, FAULT_DAY, MOTION_HOUR, TRIP, UTILISATION_DAY
from contracts.names import (
    DEVICE_DAY_TABLE,
    EPISODE_TABLE,
    FAULT_DAY_TABLE,
    HISTORY_TABLE,
    MOTION_HOUR_TABLE,
    TRIP_TABLE,
)
from contracts.record import LANDING, REJECTED

Classes = dict[str, Privacy]
"""Privacy class by column."""

_STAGED = {"trip": TRIP, "device_day": DEVICE_DAY, "episode": EPISODE, "fault_day": FAULT_DAY}
_COLUMNS: Mapping[str, tuple[Column, ...]] = {
    "landing": LANDING,
    "rejected": REJECTED,
    HISTORY_TABLE: LANDING,
    TRIP_TABLE: TRIP,
    DEVICE_DAY_TABLE: DEVICE_DAY,
    EPISODE_TABLE: EPISODE,
    FAULT_DAY_TABLE: FAULT_DAY,
    MOTION_HOUR_TABLE: MOTION_HOUR,
    "release.utilisation_day": UTILISATION_DAY,
}


class Store(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A store, as contracts/processing.toml says it."""

    name: str
    title: str
    place: str
    purposes: tuple[str, ...]
    recipients: tuple[str, ...]
    kept: str
    tables: tuple[str, ...] = ()
    classes: tuple[Privacy, ...] = ()
    copy_of: str | None = None


class Processing(msgspec.Struct, frozen=True, kw_only=True):
    """All of it."""

    purposes: dict[str, str]
    recipients: dict[str, str]
    stores: tuple[Store, ...]

    def store(self, name: str) -> Store:
        """The store of that name."""
        return next(store for store in self.stores if store.name == name)


@cache
def processing() -> Processing:
    """What contracts/processing.toml says. Raises msgspec.ValidationError where a store lacks a fact."""
    known = _toml("processing.toml")
    stores = msgspec.convert([{"name": name, **store} for name, store in known["stores"].items()], tuple[Store, ...])
    return Processing(purposes=known["purposes"], recipients=known["recipients"], stores=stores)


@cache
def classes() -> dict[str, Classes]:
    """The privacy class of each column by table: lake, staging, registry, ops and privacy; not of dbt's models."""
    found = {name: {column.name: column.privacy for column in columns} for name, columns in _COLUMNS.items()}
    for name, columns in _STAGED.items():
        found[f"staging.{name}"] = {column.name: column.privacy for column in columns}
        found[f"staging.{name}"]["loaded_at"] = Privacy.TECHNICAL
    for name, by_class in _toml("classes.toml").items():
        found[name] = {column: Privacy(kind) for kind, columns in by_class.items() for column in columns}
    return found


def tables_of(store: Store, known: Mapping[str, Classes]) -> Iterator[tuple[str, Classes]]:
    """The store's tables, by name, with their columns."""
    for wanted in store.tables:
        if wanted.endswith(".*"):
            yield from sorted((name, columns) for name, columns in known.items() if name.startswith(wanted[:-1]))
        else:
            yield wanted, known[wanted]


def classes_of(store: Store, known: Mapping[str, Classes]) -> list[Privacy]:
    """The privacy classes that the store holds, in the order of their definition."""
    held = set(store.classes).union(*(columns.values() for _, columns in tables_of(store, known)))
    return [kind for kind in Privacy if kind in held]


def _toml(name: str) -> dict[str, Any]:
    return tomllib.loads(files(__package__).joinpath(name).read_text(encoding="utf-8"))
