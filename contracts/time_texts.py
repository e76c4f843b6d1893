"""Times in text: ISO 8601 and what databases make of it, patterns, and hints where neither fits."""

import re
from datetime import MAXYEAR, MINYEAR, UTC, datetime

_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_ZONE_WORD = re.compile(r"\s*(?:(?P<word>UTC|GMT|Z)|(?P<offset>[+-]\d\d(?::?\d\d)?))$", re.ASCII)
_COMPACT = re.compile(
    r"(?:19|20)\d\d(?:0\d|1[0-2])[0-3]\d(?P<time>[0-2]\d[0-5]\d(?:[0-5]\d(?P<fine>\d{1,6})?)?)", re.ASCII
)
_MINUTES_ONLY = 4
_PARTED = re.compile(
    r"(?P<first>\d{1,2})(?P<mark>[/.\-])(?P<second>\d{1,2})(?P=mark)(?P<year>\d{4}|\d\d)(?P<gap>,? +|T)"
    r"\d{1,2}:\d\d(?P<s>:\d\d)?(?P<fine>\.\d{1,6})?(?P<half> ?[AaPp][Mm])?(?P<zone> ?[+-]\d\d:?\d\d)?",
    re.ASCII,
)
_YEAR_FIRST = re.compile(
    r"\d{4}(?P<mark>[/.])\d\d(?P=mark)\d\d(?P<gap>[ T])\d\d:\d\d:\d\d(?P<fine>\.\d{1,6})?", re.ASCII
)
_MONTHS = 12
_SHORT_YEAR = 2


def is_rfc3339(text: str | None) -> bool:
    """Whether the consumer reads this form, so that a time in it can be sent as it stands."""
    return bool(text) and _RFC3339.fullmatch(text or "") is not None


def parse_time(text: str | None) -> datetime | None:
    """An ISO 8601 time, with UTC, GMT or an offset after a blank too, or None where the text is no time."""
    if not text:
        return None
    plain = text.strip().upper()
    try:
        moment = datetime.fromisoformat(plain)
    except ValueError:
        zone = _ZONE_WORD.search(plain)
        if zone is None:
            return None
        try:
            moment = datetime.fromisoformat(plain[: zone.start()] + (zone["offset"] or "+00:00"))
        except ValueError:
            return None
    return _within(moment)


def parse_format(text: str, pattern: str) -> datetime | None:
    """A time by its strptime pattern, or None where it does not fit."""
    try:
        return _within(datetime.strptime(text, pattern))
    except ValueError:
        return None


def format_hint(examples: list[str]) -> str | None:
    """The `format` that fits these texts, as a mapping has it, or None where none is known to."""
    first = examples[0] if examples else ""
    if found := _COMPACT.fullmatch(first):
        seconds = "" if len(found["time"]) == _MINUTES_ONLY else "%S"
        return _quoted(f"%Y%m%d%H%M{seconds}{'%f' if found['fine'] else ''}")
    if found := _YEAR_FIRST.fullmatch(first):
        mark = found["mark"]
        return _quoted(f"%Y{mark}%m{mark}%d{found['gap']}%H:%M:%S{'.%f' if found['fine'] else ''}")
    parted = [found for text in examples if (found := _PARTED.fullmatch(text))]
    if not parted or not _PARTED.fullmatch(first):
        return None
    day_first, month_first = (_parted_pattern(parted[0], days) for days in (("%d", "%m"), ("%m", "%d")))
    if any(int(found["first"]) > _MONTHS for found in parted):
        return _quoted(day_first)
    if any(int(found["second"]) > _MONTHS for found in parted):
        return _quoted(month_first)
    return f'{_quoted(day_first)} where the day comes first, "{month_first}" where the month does'


def epoch_ms(moment: datetime) -> int:
    """Whole epoch milliseconds of a time with a zone, rounded down."""
    since = moment.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1000 + since.microseconds // 1000


def rfc3339(moment: datetime) -> str:
    """RFC 3339 in UTC, with as many digits as the time has."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _within(moment: datetime) -> datetime | None:
    # In the first and last year an offset may lead out of what a datetime can say.
    return moment if MINYEAR < moment.year < MAXYEAR else None


def _parted_pattern(found: "re.Match[str]", days: tuple[str, str]) -> str:
    year = "%y" if len(found["year"]) == _SHORT_YEAR else "%Y"
    date = found["mark"].join((*days, year))
    seconds = "%S" if found["s"] else ""
    clock = (
        ("%I" if found["half"] else "%H")
        + ":%M"
        + (":" + seconds if seconds else "")
        + (".%f" if found["fine"] else "")
    )
    half = (" %p" if found["half"].startswith(" ") else "%p") if found["half"] else ""
    zone = (" %z" if found["zone"].startswith(" ") else "%z") if found["zone"] else ""
    return f"{date}{found['gap']}{clock}{half}{zone}"


def _quoted(pattern: str) -> str:
    return f'[ts] format = "{pattern}"'
