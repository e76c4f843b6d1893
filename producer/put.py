"""PutRecords with retries: back-off with jitter, and only the failed entries are sent again."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from tenacity import RetryCallState, RetryError, Retrying, retry_if_exception_type, wait_random_exponential

from contracts.errors import FleetlakeError, SinkUnavailable, StoreUnavailable
from producer.aggregator import Entry

THROTTLED = frozenset(
    {
        "ProvisionedThroughputExceededException",
        "LimitExceededException",
        "ThrottlingException",
        "KMSThrottlingException",
    }
)
TRANSIENT = THROTTLED | {"InternalFailure", "InternalFailureException", "ServiceUnavailable", "RequestTimeout"}
SERVER_ERROR = 500


@dataclass(frozen=True, slots=True)
class RetryRules:
    """How long to wait between attempts, and when to stop: `give_up_s` after the last accepted entry."""

    first_wait_s: float = 0.05
    longest_wait_s: float = 2.0
    give_up_s: float = 30.0
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic


@dataclass(slots=True)
class Outcome:
    """The requests that one call's entries took."""

    calls: int = 0
    throttled: int = 0
    failed_calls: int = 0
    shard_ids: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class PutAttempt:
    """What one call to PutRecords did: the entries that the stream did not take, and why."""

    left: list[Entry]
    shard_ids: frozenset[str] = frozenset()
    throttled: int = 0
    failed: bool = False
    """Whether the call failed as a whole."""
    why: str = ""
    fatal: FleetlakeError | None = None
    """A refusal that sending again does not cure."""


class _TryAgain(Exception):
    """Some entries were not accepted, for a transient reason."""


def put_all(client: Any, stream: str, entries: Sequence[Entry], rules: RetryRules) -> Outcome:
    """Put every entry, in order, with as many attempts as needed.

    Rejected entries are sent again, in their order, before the caller's next entries. So within one call an entry may
    arrive after one that was behind it: Kinesis does not promise more. A call whose answer is lost is sent again whole,
    so a record may be on the stream twice, with the same identity.
    Raises StoreUnavailable where nothing was accepted for rules.give_up_s, SinkUnavailable where the refusal is
    permanent.
    """
    outcome = Outcome()
    pending = list(entries)
    progress = [rules.clock()]

    def given_up(_: RetryCallState) -> bool:
        return rules.clock() - progress[0] >= rules.give_up_s

    retrying = Retrying(
        wait=wait_random_exponential(multiplier=rules.first_wait_s, max=rules.longest_wait_s),
        stop=given_up,
        retry=retry_if_exception_type(_TryAgain),
        sleep=rules.sleep,
    )

    def once() -> None:
        left = _put_once(client, stream, pending, outcome)
        if len(left) < len(pending):
            progress[0] = rules.clock()
        pending[:] = left
        if pending:
            raise _TryAgain("throttled")

    try:
        retrying(once)
    except RetryError as error:
        cause = error.last_attempt.exception()
        raise StoreUnavailable(
            f"Kinesis took none of {len(pending)} records of {stream} for {rules.give_up_s:.0f} s: {cause}"
        ) from None
    return outcome


def explain(error: ClientError, stream: str) -> FleetlakeError:
    """Our error for a permanent refusal."""
    code = error.response["Error"].get("Code", "unknown")
    if code == "ResourceNotFoundException":
        return StoreUnavailable(f"there is no stream {stream}")
    return SinkUnavailable(f"Kinesis refuses records for {stream}: {code}; check the region's credentials and policy")


def put_once(client: Any, stream: str, entries: Sequence[Entry]) -> PutAttempt:
    """Put the entries in one call. Raises nothing of the client's: the attempt says what became of them."""
    try:
        answer = client.put_records(
            StreamName=stream, Records=[{"Data": entry.data, "PartitionKey": entry.partition_key} for entry in entries]
        )
    except ClientError as error:
        code = error.response["Error"].get("Code")
        status = error.response["ResponseMetadata"].get("HTTPStatusCode", 0)
        if code not in TRANSIENT and status < SERVER_ERROR:
            return PutAttempt(list(entries), failed=True, why=str(code), fatal=explain(error, stream))
        return PutAttempt(list(entries), throttled=code in THROTTLED, failed=True, why=str(code))
    except BotoCoreError as error:
        return PutAttempt(list(entries), failed=True, why=type(error).__name__)
    results = answer["Records"]
    left = [entry for entry, result in zip(entries, results, strict=True) if "SequenceNumber" not in result]
    shard_ids = frozenset(result["ShardId"] for result in results if "SequenceNumber" in result)
    return PutAttempt(left, shard_ids, throttled=len(left), why="throttled" if left else "")


def _put_once(client: Any, stream: str, pending: Sequence[Entry], outcome: Outcome) -> list[Entry]:
    attempt = put_once(client, stream, pending)
    outcome.calls += 1
    outcome.throttled += attempt.throttled
    outcome.failed_calls += attempt.failed
    outcome.shard_ids |= attempt.shard_ids
    if attempt.fatal is not None:
        raise attempt.fatal
    if attempt.failed:
        raise _TryAgain(attempt.why)
    return attempt.left
