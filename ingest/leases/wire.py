"""Sends DynamoDB's requests and translates their failures."""

from collections.abc import AsyncIterator
from hashlib import blake2b
from typing import Any

import msgspec

from contracts.errors import FleetlakeError, SinkUnavailable
from contracts.settings import AwsService
from ingest.runtime.aws import AwsRefused, AwsUnanswered, JsonService
from ingest.runtime.aws_access import AwsClock
from ingest.runtime.aws_errors import DYNAMODB, REASON, Meaning, verdict

_CONDITION = "ConditionalCheckFailed"
_CANCELLED = "TransactionCanceledException"


class DynamoWire:
    """One attempt a request. SinkUnavailable where DynamoDB is down, busy or denying; the change may then be done.

    Before its first answer, a refusal that names table or keys says that the settings are wrong (FleetlakeError). Once
    it has answered, a denial is an outage: keys are rotated, tables are restored. ingest.runtime.aws_errors says what
    each error code means.
    """

    def __init__(self, aws_region: str, access: AwsService, aws_clock: AwsClock | None = None) -> None:
        self._service = JsonService(
            DYNAMODB, "DynamoDB_20120810", aws_region, access, version="1.0", timeout_s=10.0, aws_clock=aws_clock
        )
        self._answered = False

    async def close(self) -> None:
        """Close the connections."""
        await self._service.close()

    async def get(self, table: str, key: dict[str, Any]) -> dict[str, Any] | None:
        """One item, read consistently."""
        answer = await self._call("GetItem", {"TableName": table, "Key": key, "ConsistentRead": True})
        item: dict[str, Any] | None = answer.get("Item")
        return item or None

    async def pages(self, action: str, request: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
        """The items of all pages of a Scan or Query."""
        while True:
            items, reached = await self.page(action, request)
            for item in items:
                yield item
            if reached is None:
                return
            request = {**request, "ExclusiveStartKey": reached}

    async def page(self, action: str, request: dict[str, Any]) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
        """The items of one page, and the key that it reached; None after the last."""
        answer = await self._call(action, request)
        return answer.get("Items", []), answer.get("LastEvaluatedKey") or None

    async def conditionally(self, action: str, request: dict[str, Any]) -> dict[str, Any] | None:
        """A conditional write's answer, or None where the condition did not hold."""
        try:
            return await self._attempt(action, request)
        except AwsRefused as refusal:
            if refusal.code == _CONDITION + "Exception":
                return None
            raise self._meaning(refusal) from refusal

    async def transact(self, writes: list[dict[str, Any]]) -> list[int]:
        """All of the writes or none: the places of those whose condition did not hold, empty where it was done."""
        body = msgspec.json.encode(writes)
        # The same writes under the same token count once, however often they are sent.
        token = blake2b(body, digest_size=16).hexdigest()
        try:
            await self._attempt("TransactWriteItems", {"TransactItems": writes, "ClientRequestToken": token})
        except AwsRefused as refusal:
            if refusal.code != _CANCELLED:
                raise self._meaning(refusal) from refusal
            return _conditions(refusal)
        return []

    async def _call(self, action: str, request: dict[str, Any]) -> dict[str, Any]:
        try:
            return await self._attempt(action, request)
        except AwsRefused as refusal:
            raise self._meaning(refusal) from refusal

    async def _attempt(self, action: str, request: dict[str, Any]) -> dict[str, Any]:
        try:
            answer = await self._service.call(action, msgspec.json.encode(request))
            self._answered = True
            return msgspec.json.decode(answer.body or b"{}", type=dict[str, Any])
        except (AwsUnanswered, msgspec.DecodeError) as error:
            raise SinkUnavailable(f"dynamodb: {error}") from error

    def _meaning(self, refusal: AwsRefused) -> FleetlakeError:
        if refusal.meaning is Meaning.DENIED and self._answered:
            return SinkUnavailable(str(refusal))
        return FleetlakeError(str(refusal))


def _conditions(refusal: AwsRefused) -> list[int]:
    """The places of a cancelled transaction's writes whose condition did not hold.

    Raises FleetlakeError where a write can never be done, SinkUnavailable where only others were in its way.
    """
    reasons = msgspec.json.decode(refusal.body, type=dict[str, Any]).get("CancellationReasons") or []
    meanings = {}
    for place, reason in enumerate(reasons):
        if (code := str(reason.get("Code") or "None")) != "None":
            meanings[place] = verdict(DYNAMODB, REASON, code)
            if meanings[place].meaning is Meaning.FATAL:
                raise FleetlakeError(f"{refusal}: {code}: {reason.get('Message', '')}: {meanings[place].does}")
    refused = [place for place, found in meanings.items() if found.meaning is Meaning.REFUSED]
    if not refused:
        raise SinkUnavailable(str(refusal))
    return refused
