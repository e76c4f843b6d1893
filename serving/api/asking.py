"""What every handler needs of a request: who asks, for whose device, and for which page."""

from collections.abc import Sequence
from typing import Annotated, Any, TypeVar, cast
from urllib.parse import quote

import msgspec
from litestar import Request, Response
from litestar.connection import ASGIConnection
from litestar.datastructures import State as AppState
from litestar.handlers import BaseRouteHandler
from litestar.params import Parameter

from contracts.record import DEVICE_ID_PATTERN
from serving.access.caller import Caller, Role
from serving.live.table import LiveTable
from serving.parts import Parts
from serving.problems import Forbidden, NotAuthenticated, NotFound, StoreAway

MOST_ITEMS = 1_000
"""The largest page of a list."""
NEXT_HEADER = "Fleetlake-Next"
_BEARER = "bearer "
_OF_FLEETS = "select fleet_id from registry.shown_device where device_id = %s and (%s or fleet_id = any(%s))"

DeviceId = Annotated[str, Parameter(pattern=DEVICE_ID_PATTERN, description="The device's id.")]
Limit = Annotated[int, Parameter(ge=1, le=MOST_ITEMS, description="At most so many items.")]
FleetFilter = Annotated[
    str | None, Parameter(max_length=128, description="Devices of this fleet only; it has to be one of the token's.")
]
After = Annotated[str | None, Parameter(max_length=512, description="`next` of the page before.")]
First = Annotated[
    str,
    Parameter(query="from", max_length=40, description="A day of the region (2026-11-01) or a time with an offset."),
]
Last = Annotated[
    str, Parameter(query="to", max_length=40, description="A day, which is included, or a time with an offset.")
]
_T = TypeVar("_T")


async def authenticated(connection: ASGIConnection[Any, Any, Any, AppState], _: BaseRouteHandler) -> None:
    """Let in who has a token; the caller is kept with the request."""
    parts: Parts = connection.app.state.parts
    caller = await parts.tokens.caller(bearer_of(connection))
    parts.rates.take(caller.token_id)
    connection.state.caller = caller


def bearer_of(connection: ASGIConnection[Any, Any, Any, AppState]) -> str:
    """The token of the header. Raises NotAuthenticated."""
    header = connection.headers.get("authorization", "")
    if not header.lower().startswith(_BEARER):
        raise NotAuthenticated("send the header Authorization: Bearer TOKEN")
    return header[len(_BEARER) :].strip()


async def reads_data(connection: ASGIConnection[Any, Any, Any, AppState], _: BaseRouteHandler) -> None:
    """Let in viewers and operators."""
    if connection.state.caller.role is Role.privacy:
        raise Forbidden("a token of role privacy reads who read what, not the data; ask with one of role viewer")


async def is_operator(connection: ASGIConnection[Any, Any, Any, AppState], _: BaseRouteHandler) -> None:
    """Let in operators."""
    if connection.state.caller.role is not Role.operator:
        raise Forbidden("this needs a token of role operator")


async def reads_audit(connection: ASGIConnection[Any, Any, Any, AppState], _: BaseRouteHandler) -> None:
    """Let in the privacy office."""
    if connection.state.caller.role is not Role.privacy:
        raise Forbidden("this needs a token of role privacy")


def caller_of(request: Any) -> Caller:
    """Who asks."""
    caller: Caller = request.state.caller
    return caller


def fleets_of(caller: Caller, fleet: str | None) -> Sequence[str]:
    """The fleets that an answer is narrowed to. A fleet that is not the token's is none."""
    if fleet is None:
        return caller.fleets
    return (fleet,) if caller.may_see(fleet) else ()


async def own_device(parts: Parts, caller: Caller, device_id: str) -> str | None:
    """The device's fleet, where the caller may see it. Raises NotFound, which is the same for another's and for none.

    A device whose processing is restricted (GDPR Art. 18) is as one that does not exist. What the directory does not
    grant is asked of Postgres, narrowed by the token's fleets: a device that was entered a
    moment ago is found, and one of another fleet costs the time of one that does not exist.
    """
    if device_id in parts.directory.restricted:
        raise NotFound("no such device among those of the token's fleets")
    fleet = parts.directory.fleet_of.get(device_id)
    if fleet is not None and caller.may_see(fleet):
        return fleet
    found = await parts.postgres.rows(_OF_FLEETS, (device_id, caller.sees_all, list(caller.fleets)))
    if found:
        return str(found[0]["fleet_id"])
    if caller.sees_all and device_id in parts.feed.table:
        return None
    raise NotFound("no such device among those of the token's fleets")


def live_table(parts: Parts) -> LiveTable:
    """The live table, once it was loaded. Raises StoreAway."""
    if not parts.feed.loads:
        raise StoreAway("live state is being loaded from Redis; ask again", retry_after_s=2)
    return parts.feed.table


def encoded(
    body: bytes, _: type[_T], media: str = "application/json", headers: dict[str, str] | None = None
) -> Response[_T]:
    """An answer of that kind, for the document, which was encoded already."""
    return Response(cast(_T, body), media_type=media, headers=headers)


def attached(name: str, form: str) -> dict[str, str]:
    """The header that has a browser keep the answer as a file of that name."""
    known = "".join(letter if letter.isascii() and (letter.isalnum() or letter in "-_.") else "_" for letter in name)
    return {"Content-Disposition": f'attachment; filename="{known}.{form}"'}


def following_page(request: Request[Any, Any, Any], following: str | None) -> dict[str, str]:
    """The headers that say where the next page is, for answers that have no room for it."""
    if following is None:
        return {}
    kept = [(name, value) for name, value in request.query_params.multi_items() if name != "after"]
    query = "&".join(f"{quote(name)}={quote(str(value))}" for name, value in [*kept, ("after", following)])
    return {NEXT_HEADER: following, "Link": f'<{request.url.path}?{query}>; rel="next"'}


def page_of(rows: list[dict[str, Any]], limit: int, kind: type[_T], key: str) -> tuple[list[_T], str | None]:
    """The items of a page that was asked with one row more, and the cursor of the next."""
    shown = rows[:limit]
    following = str(shown[-1][key]) if len(rows) > limit else None
    return msgspec.convert(shown, list[kind]), following  # type: ignore[valid-type]
