"""What each error code of each AWS call means to the consumer: one table, `aws_errors.txt`, one rule a line.

A line is service | calls | codes | meaning | what the worker does. docs/reference/consumer.md has it as
`python -m ingest.runtime.aws_errors` prints it.
"""

import sys
from collections.abc import Iterator
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import NamedTuple

_SERVER_ERROR, _TOO_MANY = 500, 429
_ALL = "all"


class Meaning(StrEnum):
    """What a caller does about a refusal."""

    THROTTLED = "throttled"
    """Nothing was done; wait, longer each time, and ask again."""
    PASSING = "passing"
    """Wait and ask again; the action may have been done."""
    DENIED = "denied"
    """Fatal before the same call has worked; passing after it, as while keys, policies and tables are changed."""
    REFUSED = "refused"
    """This very request will not do; the caller knows another."""
    FATAL = "fatal"
    """No waiting cures it: a shard's call pauses the shard, any other ends the worker."""


class Rule(NamedTuple):
    """Error codes with one meaning. calls: empty for every call of the service. does: what the worker does."""

    service: str
    calls: tuple[str, ...]
    codes: tuple[str, ...]
    meaning: Meaning
    does: str


class Verdict(NamedTuple):
    """What one refusal means, and what is done about it."""

    meaning: Meaning
    does: str


EVERY, KINESIS, DYNAMODB, S3, STS = "every service", "kinesis", "dynamodb", "s3", "sts"
REASON = "a transaction's reason"
"""Stands for a call where the code is a reason of a cancelled transaction; nothing else applies to it."""
CALLS: dict[str, tuple[str, ...]] = {
    KINESIS: (
        "GetRecords",
        "GetShardIterator",
        "SubscribeToShard",
        "ListShards",
        "DescribeStreamSummary",
        "RegisterStreamConsumer",
        "DescribeStreamConsumer",
        "PutRecords",
    ),
    DYNAMODB: ("TransactWriteItems", "Query", "Scan", "GetItem", "PutItem", "UpdateItem", "DeleteItem"),
    S3: ("PutObject", "GetObject", "ListObjectsV2", "DeleteObject"),
    STS: ("AssumeRole", "AssumeRoleWithWebIdentity", "GetRoleCredentials"),
}
"""The calls that the consumer makes, and that botocore makes for its credentials."""
UNKNOWN = Verdict(Meaning.DENIED, "an error that the consumer does not know: see AWS's documentation of the call")
WAITS = Verdict(Meaning.PASSING, "waits")


def verdict(service: str, call: str, code: str, status: int = 400) -> Verdict:
    """What an error code of a call means. status: of the HTTP answer, for codes that the table does not have."""
    for rule in _rules_of(service, call):
        if code in rule.codes:
            return Verdict(rule.meaning, rule.does)
    if status == _TOO_MANY:
        return Verdict(Meaning.THROTTLED, WAITS.does)
    return WAITS if status >= _SERVER_ERROR else UNKNOWN


def codes_of(service: str, call: str) -> dict[str, Verdict]:
    """Every code that the table has of a call, in the table's order."""
    codes = [code for rule in _rules_of(service, call) for code in rule.codes]
    return {code: verdict(service, call, code) for code in codes}


@cache
def rules() -> tuple[Rule, ...]:
    """The whole table."""
    text = files("ingest.runtime").joinpath("aws_errors.txt").read_text(encoding="utf-8")
    return tuple(_rule(*line.split(" | ")) for line in text.splitlines())


def markdown() -> Iterator[str]:
    """The table's lines as the reference has them."""
    yield "| service | call | code | meaning | what the worker does |"
    yield "|---|---|---|---|---|"
    for service, calls, codes, meaning, does in rules():
        coded = ", ".join(f"`{code}`" for code in codes)
        yield f"| {service} | {', '.join(calls) or _ALL} | {coded} | {meaning} | {does} |"


@cache
def _rules_of(service: str, call: str) -> tuple[Rule, ...]:
    """A service's own rules first: they say more than those of every service."""
    applying = [rule for rule in rules() if call in rule.calls or (not rule.calls and call != REASON)]
    return tuple(rule for kind in (service, EVERY) for rule in applying if rule.service == kind)


def _rule(service: str, calls: str, codes: str, meaning: str, does: str) -> Rule:
    named = () if calls == _ALL else tuple(calls.split(", "))
    return Rule(service, named, tuple(codes.split(", ")), Meaning(meaning), does)


if __name__ == "__main__":
    sys.stdout.write("\n".join([*markdown(), ""]))
