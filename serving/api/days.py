"""Lists by business day: what a request asks for, and the answer as JSON, CSV or a workbook."""

import asyncio
from collections.abc import Sequence
from datetime import date
from typing import Annotated, Any, NamedTuple, TypeVar

import msgspec
from litestar import Request, Response
from litestar.di import Provide
from litestar.params import Parameter

from serving.api.asking import After, Limit, attached, encoded, following_page, page_of
from serving.api.sheets import MEDIA, WRITERS, Sheet
from serving.api.times import day_of

LONG_AGO = date(1970, 1, 1)
FirstDay = Annotated[str, Parameter(query="from", max_length=10, description="Business day, such as 2026-11-01.")]
LastDay = Annotated[str, Parameter(query="to", max_length=10, description="Business day, which is included.")]
SheetForm = Annotated[
    Sheet, Parameter(query="format", description="csv and xlsx have a header of the same names; times are UTC.")
]
_Page = TypeVar("_Page", bound=msgspec.Struct)


class Days(NamedTuple):
    """A page of the business days that a request asks for."""

    first: date
    last: date
    after: str | None
    """The cursor, as the page before gave it."""
    limit: int
    form: Sheet

    def values(self) -> dict[str, Any]:
        """What questions to Postgres need of it: one row more than the page tells whether another follows."""
        return {"first": self.first, "last": self.last, "limit": self.limit + 1}

    def after_day(self) -> tuple[date, str]:
        """The cursor of a list by day and name. Raises BadRequest."""
        day, _, name = (self.after or "").partition("/")
        return (day_of(day, "after") if day else LONG_AGO), name


async def asked_days(
    first: FirstDay, last: LastDay, after: After = None, limit: Limit = 100, form: SheetForm = Sheet.json
) -> Days:
    """What the parameters of a request ask for. Raises BadRequest."""
    return Days(day_of(first, "from"), day_of(last, "to"), after, limit, form)


BY_DAY = {"days": Provide(asked_days)}
"""Dependencies of a handler that lists by business day."""


def columns_of(kind: type[msgspec.Struct], table: str = "") -> str:
    """The columns that a question selects: the fields of what the API answers."""
    return ", ".join(f"{table}{name}" for name in kind.__struct_fields__)


async def listed(
    request: Request[Any, Any, Any],
    days: Days,
    rows: Sequence[dict[str, Any]],
    page: type[_Page],
    key: str,
    name: str,
) -> Response[_Page]:
    """A page of rows in the form that was asked for; `key` is the column of its cursor, `name` that of a file."""
    item = page.__annotations__["items"].__args__[0]
    items, following = page_of(list(rows), days.limit, item, key)
    if days.form is Sheet.json:
        return encoded(msgspec.json.encode(page(items=items, next=following)), page)
    body = await asyncio.to_thread(WRITERS[days.form], item, items)
    headers = {"Fleetlake-Records": str(len(items)), **attached(name, days.form), **following_page(request, following)}
    return encoded(body, page, MEDIA[days.form], headers)
