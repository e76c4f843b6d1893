"""Guest links: an operator shows where some devices are, for a while, to somebody without a token.

A guest sees what the map shows of these devices now, and nothing of their past, their fleet or any other path.
"""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request, Response, delete, get, post
from litestar.params import Parameter

from serving.api.asking import After, Limit, bearer_of, caller_of, encoded, is_operator, live_table, page_of
from serving.api.models import NewShare, Share, SharedPage, ShareMade, SharePage
from serving.live.item import LiveItem
from serving.parts import Parts
from serving.problems import BadRequest

ShareId = Annotated[UUID, Parameter(description="The guest link's id.")]
LONGEST = timedelta(days=31)
_decode = msgspec.json.Decoder(LiveItem).decode


@get("/shares", tags=["shares"], guards=[is_operator])
async def list_shares(
    request: Request[Any, Any, Any], parts: Parts, after: After = None, limit: Limit = 100
) -> SharePage:
    """Guest links whose devices are all of the token's fleets, those that have ended too. Needs role operator."""
    try:
        behind = None if after is None else UUID(after)
    except ValueError:
        raise BadRequest("after: hand back `next` of the page before") from None
    items, following = page_of(await parts.shares.page(caller_of(request), behind, limit), limit, Share, "share_id")
    return SharePage(items=items, next=following)


@post("/shares", tags=["shares"], guards=[is_operator], request_max_body_size=32_768)
async def put_share(request: Request[Any, Any, Any], parts: Parts, data: NewShare) -> ShareMade:
    """A guest link. Its secret is in this answer and nowhere else. Needs role operator."""
    begin, now = data.valid_from or datetime.now(UTC), datetime.now(UTC)
    if not begin < data.valid_to or data.valid_to <= now or data.valid_to - begin > LONGEST:
        raise BadRequest(f"valid_to: a link ends after it begins, in the future, and within {LONGEST.days} days")
    row, secret = await parts.shares.put(caller_of(request), data.name, data.devices, begin, data.valid_to)
    return ShareMade(share=msgspec.convert(row, Share), secret=secret, page=f"/map/shared.html#guest={secret}")


@delete("/shares/{share_id:uuid}", tags=["shares"], guards=[is_operator], status_code=200)
async def revoke_share(request: Request[Any, Any, Any], parts: Parts, share_id: ShareId) -> Share:
    """Revoke a guest link; every process knows within 5 s. Needs role operator."""
    return msgspec.convert(await parts.shares.revoke(caller_of(request), share_id), Share)


@get("/shared", tags=["shares"])
async def show_shared(request: Request[Any, Any, Any], parts: Parts) -> Response[SharedPage]:
    """Where the devices of a guest link are now. The link's secret is the bearer token."""
    share = await parts.shares.believed(bearer_of(request))
    table, shown = live_table(parts), []
    for device in share.devices:
        item = table.item(device)
        if item and parts.directory.fleet_of.get(device) in share.fleets:
            shown.append(msgspec.structs.replace(_decode(item), fleet_id=None, faults=0))
    page = SharedPage(name=share.name, ends=share.valid_to, items=shown)
    return encoded(msgspec.json.encode(page), SharedPage)
