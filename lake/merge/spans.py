"""Literal ranges of event time: what lets a MERGE open only the partitions that it can touch."""

import re
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

from contracts.ledger import ON_TIME_AFTER_S, ON_TIME_BEFORE_S

MOST_SPANS = 40
"""More ranges than this are joined over their smallest gaps: a longer condition costs more to plan than it saves."""


HOUR_OF_KEY = r"/dt=(\d{4}-\d{2}-\d{2})/hour=(\d{2})/"
"""Where a landing key says its arrival hour; also a Java regular expression."""


class Span(NamedTuple):
    """[start, end) in UTC."""

    start: datetime
    end: datetime


def hour_of_key(key: str) -> datetime:
    """The arrival hour that a landing key names. Raises ValueError for a key of another form."""
    match = re.search(HOUR_OF_KEY, key)
    if match is None:
        raise ValueError(f"{key!r} is not a key of contracts.names.landing_key")
    return datetime.strptime(f"{match[1]} {match[2]} +0000", "%Y-%m-%d %H %z")


def on_time_span(hour: datetime) -> Span:
    """The event times that are on time for an arrival hour."""
    return Span(hour - timedelta(seconds=ON_TIME_BEFORE_S), hour + timedelta(seconds=3600 + ON_TIME_AFTER_S))


def day_span(day: date) -> Span:
    """One UTC day."""
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return Span(start, start + timedelta(days=1))


def joined(spans: Iterable[Span], most: int = MOST_SPANS) -> list[Span]:
    """The spans in order, those that touch made one, and no more than `most` of them."""
    result: list[Span] = []
    for span in sorted(spans):
        if result and span.start <= result[-1].end:
            result[-1] = Span(result[-1].start, max(result[-1].end, span.end))
        else:
            result.append(span)
    while len(result) > most:
        place = min(range(len(result) - 1), key=lambda i: result[i + 1].start - result[i].end)
        result[place : place + 2] = [Span(result[place].start, result[place + 1].end)]
    return result


def sql_condition(column: str, spans: Iterable[Span]) -> str:
    """Whether `column` (a timestamp) lies in one of the spans, as SQL with literals."""
    ranges = (f"({column} >= {_literal(span.start)} AND {column} < {_literal(span.end)})" for span in spans)
    return "(" + " OR ".join(ranges) + ")"


def _literal(moment: datetime) -> str:
    return f"TIMESTAMP '{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}+00:00'"
