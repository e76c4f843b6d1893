"""A store with one row, and erasures of it: what the steps of an erasure do, without a region's data."""

import threading

from contracts.erasable import Portion, Scope
from contracts.settings import RegionSettings
from privacy.erasure import run
from privacy.requests import Request, SubjectKind

OFFICER = "officer"


class Nobody:
    """No consumer runs."""

    def acknowledged(self, version: int, within_s: float) -> int:
        return 0


class Shelf:
    """A store with one row of each device, whose erasure takes as long as a test wants."""

    name, stores = "shelf", ("shelf",)

    def __init__(self) -> None:
        self.rows, self.entered, self.go_on = 1, threading.Event(), threading.Event()

    def count(self, scope):
        return {"shelf": self.rows}

    search = count

    def erase(self, scope):
        self.entered.set()
        assert self.go_on.wait(60)
        was, self.rows = self.rows, 0
        return {"shelf": was}

    def expires(self, now):
        return []


class Cage:
    """A store for a canary alone. sees: whether its search finds what is there."""

    name, stores = "cage", ("cage",)

    def __init__(self, *, sees: bool = True) -> None:
        self.held: set[str] = set()
        self._sees = sees

    def plant(self, scope):
        self.held.update(scope.devices)
        return self.stores

    def count(self, scope):
        return {"cage": len(self.held.intersection(scope.devices))}

    def search(self, scope):
        return self.count(scope) if self._sees else {"cage": 0}

    def erase(self, scope):
        found = self.count(scope)
        self.held.difference_update(scope.devices)
        return found

    def expires(self, now):
        return []


def stores_of(shelf: Shelf, *cages: Cage) -> run.Stores:
    """The shelf, and cages with a canary."""
    return run.Stores(
        consumers=Nobody(), objects=[shelf, *cages], history=[], serving=[], registry=[], canaries=list(cages)
    )


def erase_from_shelf(settings: RegionSettings, device: str, *cages: Cage) -> Request:
    """An erasure of a device from a shelf, from beginning to end."""
    shelf = Shelf()
    shelf.go_on.set()
    request = run.begin(settings, SubjectKind.DEVICE, device, Scope((Portion(device),)), who=OFFICER)
    return run.run(settings, request, stores_of(shelf, *cages), who=OFFICER, tell=lambda *_: None)
