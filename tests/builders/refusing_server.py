"""A server in AWS's place that answers each action as a test says: an error code, or the least that is an answer."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
from aiohttp import web

from contracts.settings import AwsService
from tests.builders.kinesis_server import ARN, HOST, access, refusal

_CONSUMER = {"ConsumerName": "tests", "ConsumerARN": f"{ARN}/consumer/tests:1", "ConsumerStatus": "ACTIVE"}
_LEASE = {"shard_id": {"S": "shardId-0"}, "owner": {"S": "w"}, "fence": {"N": "1"}}
_ANSWERS: dict[str, object] = {
    "DescribeStreamSummary": {"StreamDescriptionSummary": {"StreamARN": ARN, "RetentionPeriodHours": 24}},
    "RegisterStreamConsumer": {"Consumer": _CONSUMER},
    "DescribeStreamConsumer": {"ConsumerDescription": _CONSUMER},
    "GetShardIterator": {"ShardIterator": "iterator"},
    "GetRecords": {"Records": [], "NextShardIterator": "iterator", "MillisBehindLatest": 0},
    "ListShards": {"Shards": []},
    "PutRecords": {"FailedRecordCount": 0, "Records": [{"ShardId": "shardId-0", "SequenceNumber": "1"}]},
    "UpdateItem": {"Attributes": _LEASE},
    "Scan": {"Items": []},
    "Query": {"Items": []},
}


class RefusingServer:
    """`codes` says which actions are refused, and by what; `reason` is the reason of a cancelled transaction."""

    def __init__(self) -> None:
        self.codes: dict[str, str] = {}
        self.reason = ""
        self.calls: list[str] = []

    async def answer(self, request: web.Request) -> web.Response:
        """One answer of a JSON service."""
        action = request.headers["X-Amz-Target"].rpartition(".")[2]
        self.calls.append(action)
        if (code := self.codes.get(action)) is None:
            return web.Response(body=msgspec.json.encode(_ANSWERS.get(action, {})))
        if self.reason:
            body = {"__type": f"com.amazonaws#{code}", "CancellationReasons": [{"Code": self.reason}]}
            return web.Response(body=msgspec.json.encode(body), status=400)
        return refusal(code, "so it says")

    async def answer_of_s3(self, request: web.Request) -> web.Response:
        """One answer of S3: its action is the method."""
        self.calls.append(request.method)
        if (code := self.codes.get(request.method)) is None:
            return web.Response(body=b"other bytes")
        return web.Response(
            body=f"<Error><Code>{code}</Code><Message>so it says</Message></Error>".encode(), status=400
        )


@asynccontextmanager
async def refusing(server: RefusingServer) -> AsyncIterator[AwsService]:
    """The server on a free port of the running loop, any path; how a client reaches it."""
    app = web.Application()
    app.router.add_post("/", server.answer)
    app.router.add_route("*", "/{path:.+}", server.answer_of_s3)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, HOST, 0).start()
    try:
        yield access(f"http://{HOST}:{runner.addresses[0][1]}/")
    finally:
        await runner.cleanup()
