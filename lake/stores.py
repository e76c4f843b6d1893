"""Whether the stores of a region, or of the world, answer: each is asked one small question, with a short time-out."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from importlib import import_module
from typing import Any

from contracts.names import ledger_table, stream
from contracts.outages import POSTGRES, REDIS, S3, store_of
from contracts.settings import AwsService, RegionSettings, WorldSettings

KINESIS, DYNAMODB = "Kinesis", "DynamoDB"
ASK_S = 5
"""A store that works answers within milliseconds."""
LAKE = (POSTGRES, DYNAMODB, S3)
"""The stores that history, trips and marts are made with."""
_LIBRARIES = {POSTGRES: "psycopg", DYNAMODB: "boto3", KINESIS: "boto3", S3: "boto3", REDIS: "redis"}
"""What each is asked by."""


def away(settings: RegionSettings | WorldSettings, stores: tuple[str, ...] = LAKE) -> str | None:
    """The first of these stores that does not answer, with its region; None where all do."""
    questions = questions_to(settings, stores)
    with ThreadPoolExecutor(max(len(questions), 1), thread_name_prefix="ask") as pool:
        silent = dict(zip(questions, pool.map(lambda name: not answers(questions[name]), questions), strict=True))
    return next((f"{name} of region {settings.region}" for name in questions if silent[name]), None)


def answers(question: Callable[[], object]) -> bool:
    """Whether the store answers; a refusal is an answer."""
    try:
        question()
    except Exception as error:  # noqa: BLE001 - of all errors only an outage says that nothing answers
        return store_of(error) is None
    return True


def questions_to(
    settings: RegionSettings | WorldSettings, stores: tuple[str, ...]
) -> Mapping[str, Callable[[], object]]:
    """A question to each of these stores that the settings name.

    Their libraries are imported here: two threads that import one at the same time may see it half made.
    """
    found = {name: ask for name, ask in _questions(settings).items() if name in stores}
    for name in found:
        import_module(_LIBRARIES[name])
    return found


def _questions(settings: RegionSettings | WorldSettings) -> Mapping[str, Callable[[], object]]:
    if isinstance(settings, WorldSettings):
        return {
            POSTGRES: lambda: _ask_postgres(settings),
            S3: lambda: _client(settings.s3, "s3", settings.aws_region).head_bucket(Bucket=settings.exchange_bucket),
        }
    region = settings.region
    dynamodb, kinesis, s3 = (
        cache(partial(_client, getattr(settings, service), service, settings.row.aws_region))
        for service in ("dynamodb", "kinesis", "s3")
    )
    return {
        POSTGRES: lambda: _ask_postgres(settings),
        DYNAMODB: lambda: dynamodb().scan(TableName=ledger_table(region), Limit=1),
        KINESIS: lambda: kinesis().describe_stream_summary(StreamName=stream(region)),
        # Not by Arrow: it makes no client while a call of another one hangs.
        S3: lambda: s3().head_bucket(Bucket=settings.bucket),
        REDIS: lambda: _ask_redis(settings),
    }


def _ask_postgres(settings: RegionSettings | WorldSettings) -> None:
    import psycopg

    psycopg.connect(settings.postgres_dsn.get_secret_value(), connect_timeout=ASK_S).close()


def _ask_redis(settings: RegionSettings) -> None:
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    client = redis.Redis.from_url(
        settings.redis_url.get_secret_value(),
        socket_timeout=ASK_S,
        socket_connect_timeout=ASK_S,
        retry=Retry(NoBackoff(), 0),
    )
    with client:
        client.ping()


def _client(of: AwsService, service: str, aws_region: str) -> Any:
    import boto3
    from botocore.config import Config

    config = Config(connect_timeout=ASK_S, read_timeout=ASK_S, retries={"total_max_attempts": 1})
    # A session of its own: making clients of the shared one is not safe beside the command's own thread.
    session: Any = boto3.Session()
    return session.client(service, config=config, **of.client_kwargs(aws_region))
