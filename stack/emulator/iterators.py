"""Authorizes GetRecords on the stream that an iterator belongs to.

A request names an iterator, and only newer clients add its stream. AWS derives the stream from the iterator; ministack
1.5 requires a permission on `*`, which no region's policy grants.
"""

import json
from typing import Any

_GET_RECORDS = "Kinesis_20131202.GetRecords"


def authorize_by_iterator() -> None:
    """Make ministack derive the resource from the iterator, whatever stream the caller names."""
    from ministack.core import iam_actions

    ministacks_own = iam_actions.extract_resource_arn

    def extract_resource_arn(
        service: str, method: str, path: str, headers: dict[str, str], body: bytes, *further: Any
    ) -> str:
        if service == "kinesis" and headers.get("x-amz-target") == _GET_RECORDS:
            stream = _stream_of_iterator(body)
            if stream is not None:
                return stream
        return str(ministacks_own(service, method, path, headers, body, *further))

    iam_actions.extract_resource_arn = extract_resource_arn


def _stream_of_iterator(body: bytes) -> str | None:
    from ministack.services import kinesis

    try:
        token = json.loads(body)["ShardIterator"]
    except (ValueError, KeyError, TypeError):
        return None
    for (_account, _region, known), state in kinesis._shard_iterators.all_items():
        if known == token:
            return str(state["stream_arn"])
    return None
