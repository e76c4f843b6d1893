"""Replays one file through a region's stream and reports what was sent."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from contracts.errors import BadInputFile
from contracts.mapping import Mapping
from contracts.registry import Fleet, Register
from contracts.settings import RegionSettings
from devices.outgoing import Outgoing
from devices.replay.feed import Feed
from devices.replay.findings import Findings
from devices.replay.times import UNKNOWN
from devices.send import Progress, Sent, iso_ms, send
from producer import Producer


@dataclass(frozen=True, slots=True)
class ReplayReport:
    """What a replay sent. first_ms and last_ms are the smallest and largest event time of the file."""

    sent: Sent
    devices: int
    first_ms: int | None
    last_ms: int | None
    not_json: int
    dropped_columns: tuple[str, ...]
    findings: Findings

    def report(self) -> dict[str, Any]:
        """As `--json` prints it."""
        return {
            **self.sent.report(),
            "devices": self.devices,
            "first_ts": iso_ms(self.first_ms),
            "last_ts": iso_ms(self.last_ms),
            "not_json": self.not_json,
            "dropped_columns": list(self.dropped_columns),
            **self.findings.report(),
        }


def replay(
    feed: Feed,
    mapping: Mapping,
    settings: RegionSettings,
    register: Register,
    *,
    rate: float | None,
    aggregated: bool = True,
    progress: Progress = lambda _: None,
) -> ReplayReport:
    """Send the file's records, and register its devices where the mapping says so.

    rate: times real time by event time; None sends as fast as possible. Raises the errors of Producer and `register`,
    and BadInputFile where the file is empty or damaged.
    """
    with Producer.open(settings, aggregated=aggregated) as producer:
        sent = send(timed(registered(feed, mapping, register)), producer, rate=rate, progress=progress)
    if not sent.records:
        raise BadInputFile("the file has no rows")
    return _report(feed, sent)


def rehearse(feed: Feed, *, first: int, progress: Progress = lambda _: None) -> tuple[ReplayReport, list[bytes]]:
    """Read the whole file and send nothing: what a replay would report, and the first records.

    Raises BadInputFile where the file turns out to hold nothing or to be damaged.
    """
    began_s, records, size = time.monotonic(), 0, 0
    shown: list[bytes] = []
    for outgoing in feed.outgoing():
        shown += outgoing.payloads[: first - len(shown)]
        records += len(outgoing)
        size += sum(map(len, outgoing.payloads))
        progress(len(outgoing))
    if not records:
        raise BadInputFile("the file has no rows")
    return _report(feed, Sent(records, 0, size, time.monotonic() - began_s, 0, 0)), shown


def _report(feed: Feed, sent: Sent) -> ReplayReport:
    seen = feed.seen
    return ReplayReport(
        sent, len(seen.devices), seen.first_ms, seen.last_ms, feed.not_json, feed.dropped, seen.findings
    )


def registered(feed: Feed, mapping: Mapping, register: Register) -> Iterator[Outgoing]:
    """The records, each batch after its devices are registered, so that a mart has their types from the first row."""
    rule = mapping.registry
    known: set[str] = set()
    for outgoing in feed.outgoing():
        new = feed.seen.devices.keys() - known
        if rule and new:
            found = [device for name in sorted(new) if (device := feed.seen.devices[name]) is not None]
            register([Fleet(rule.fleet, rule.name)], found)
        known |= new
        yield outgoing


def timed(source: Iterator[Outgoing]) -> Iterator[Outgoing]:
    """A record without a time is due with the one before it; what is first and has none, at the first known time."""
    last_ms = UNKNOWN
    for made in source:
        due = made.due_ms.copy()
        known = np.flatnonzero(due != UNKNOWN)
        if len(known):
            place = np.searchsorted(known, np.arange(len(due)), side="right") - 1
            before = due[known[0]] if last_ms == UNKNOWN else last_ms
            due = np.where(place >= 0, due[known[np.maximum(place, 0)]], before)
        else:
            due[:] = max(last_ms, 0)
        last_ms = int(due[-1])
        yield Outgoing(made.keys, made.payloads, due)
