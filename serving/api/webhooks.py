"""Webhooks: where a fleet's operator wants to be told, and how deliveries went."""

from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request, delete, get, post
from litestar.params import Parameter

from serving.api.asking import After, Limit, caller_of, is_operator, page_of
from serving.api.models import DeliveryPage, NewWebhook, Webhook, WebhookMade, WebhookPage
from serving.parts import Parts
from serving.problems import BadRequest
from serving.stores.postgres import Row
from serving.webhooks.reaching import checked_url
from serving.webhooks.signing import secret_of, shown

WebhookId = Annotated[UUID, Parameter(description="The webhook's id.")]


@get("/webhooks", tags=["webhooks"], guards=[is_operator])
async def list_webhooks(
    request: Request[Any, Any, Any], parts: Parts, after: After = None, limit: Limit = 100
) -> WebhookPage:
    """Webhooks of the token's fleets, those that have ended too. Needs role operator."""
    try:
        behind = None if after is None else UUID(after)
    except ValueError:
        raise BadRequest("after: hand back `next` of the page before") from None
    rows = await parts.webhooks.page(caller_of(request), behind, limit)
    items, following = page_of(rows, limit, Webhook, "webhook_id")
    return WebhookPage(items=items, next=following)


@post("/webhooks", tags=["webhooks"], guards=[is_operator], request_max_body_size=8_192)
async def put_webhook(request: Request[Any, Any, Any], parts: Parts, data: NewWebhook) -> WebhookMade:
    """A webhook of one of the token's fleets. The answer has the secret that signs deliveries. Needs role operator."""
    url = checked_url(data.url, parts.own.webhooks_private)
    row = await parts.webhooks.put(caller_of(request), data.fleet_id, url, [kind.value for kind in data.kinds])
    return _made(parts, row)


@post("/webhooks/{webhook_id:uuid}/secret", tags=["webhooks"], guards=[is_operator])
async def turn_secret(request: Request[Any, Any, Any], parts: Parts, webhook_id: WebhookId) -> WebhookMade:
    """Another secret. For 24 hours deliveries are signed with the one before as well. Needs role operator."""
    return _made(parts, await parts.webhooks.turn(caller_of(request), webhook_id))


@delete("/webhooks/{webhook_id:uuid}", tags=["webhooks"], guards=[is_operator], status_code=200)
async def end_webhook(request: Request[Any, Any, Any], parts: Parts, webhook_id: WebhookId) -> Webhook:
    """End a webhook: nothing more is sent to it. Needs role operator."""
    return msgspec.convert(await parts.webhooks.end(caller_of(request), webhook_id), Webhook)


@get("/webhooks/{webhook_id:uuid}/deliveries", tags=["webhooks"], guards=[is_operator])
async def list_deliveries(
    request: Request[Any, Any, Any], parts: Parts, webhook_id: WebhookId, limit: Limit = 100
) -> DeliveryPage:
    """What was told to a webhook within a week and how it answered, the newest first. Needs role operator."""
    rows = await parts.webhooks.deliveries(caller_of(request), webhook_id, limit)
    return msgspec.convert({"items": rows}, DeliveryPage)


def _made(parts: Parts, row: Row) -> WebhookMade:
    secret = secret_of(parts.key, row["webhook_id"], row["generation"])
    return WebhookMade(webhook=msgspec.convert(row, Webhook), secret=shown(secret))
