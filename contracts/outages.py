"""Tells the outage of a store from any other error, by the error's class, and names the store.

Client libraries are known by the names of their classes, so that this module imports none of them.
"""

from collections.abc import Iterator

POSTGRES, S3, REDIS, AWS = "Postgres", "S3", "Redis", "Kinesis or DynamoDB"

_OUTAGES = {
    "psycopg.OperationalError": POSTGRES,
    "psycopg2.OperationalError": POSTGRES,
    "sqlalchemy.exc.OperationalError": POSTGRES,
    "sqlalchemy.exc.TimeoutError": POSTGRES,
    "redis.exceptions.ConnectionError": REDIS,
    "redis.exceptions.TimeoutError": REDIS,
    "botocore.exceptions.ConnectionError": AWS,
    "botocore.exceptions.HTTPClientError": AWS,
}
"""The classes that clients raise where a store cannot be reached or breaks off."""
_OF_JAVA = ("py4j.protocol.Py4JJavaError", "pyspark.errors.exceptions.base.PySparkException")
_JAVA_TEXTS = (
    ("org.postgresql.util.PSQLException: The connection attempt failed", POSTGRES),
    ("org.postgresql.util.PSQLException: Connection to", POSTGRES),
    ("org.postgresql.util.PSQLException: An I/O error occurred", POSTGRES),
    ("org.postgresql.util.PSQLException: FATAL: terminating connection", POSTGRES),
    ("org.postgresql.util.PSQLException: FATAL: the database system is", POSTGRES),
    ("software.amazon.awssdk.core.exception.SdkClientException", S3),
    ("software.amazon.awssdk.core.exception.ApiCallAttemptTimeoutException", S3),
    ("software.amazon.awssdk.core.exception.ApiCallTimeoutException", S3),
    ("org.apache.hadoop.net.ConnectTimeoutException", S3),
)
"""What the Java stack of a Spark error holds."""
_S3_ERROR = "AWS Error"
"""Part of every Arrow error of S3 or of the connection to it; other errors concern an object's content."""
_S3_ANSWERED = ("ACCESS_DENIED", "NO_SUCH_BUCKET", "RESOURCE_NOT_FOUND", "INVALID_ACCESS_KEY_ID", "SIGNATURE")
_EXPIRED = ("ExpiredToken", "EXPIRED_TOKEN", "RequestExpired", "TokenRefreshRequired", "The provided token has expired")
"""What AWS answers to keys that have expired, in the words of each of its clients."""
_POSTGRES_OUTAGES = ("08", "53", "57P")
"""SQLSTATE classes of a server that is unreachable, exhausted, or starting or stopping."""


def store_of(error: BaseException) -> str | None:
    """The store whose outage this error is, or is caused by; None for any other error."""
    if expired(error):
        return None
    for one in _chain(error):
        if (store := _store_of(one)) is not None:
            return store
    return None


def expired(error: BaseException) -> bool:
    """Whether keys of AWS that have expired are the cause: a store that says so answers."""
    return any(word in _text(one) for one in _chain(error) for word in _EXPIRED)


def _text(error: BaseException) -> str:
    """What the error says, for one of Java with its stack."""
    return f"{error}{getattr(error, '_stackTrace', '')}"


def _store_of(error: BaseException) -> str | None:
    names = {f"{kind.__module__}.{kind.__qualname__}" for kind in type(error).__mro__}
    if names.intersection(_OF_JAVA):
        text = _text(error)
        return next((store for part, store in _JAVA_TEXTS if part in text), None)
    found = next((store for name, store in _OUTAGES.items() if name in names), None)
    if found is None and isinstance(error, OSError):
        return _store_of_system_error(error)
    return None if found is POSTGRES and not _is_away(error) else found


def _store_of_system_error(error: OSError) -> str | None:
    """pyarrow raises Python's own errors for S3. A broken pipe is this process's own output."""
    text = str(error)
    if _S3_ERROR in text:
        return None if any(word in text for word in _S3_ANSWERED) else S3
    broken = isinstance(error, ConnectionError | TimeoutError) and not isinstance(error, BrokenPipeError)
    return S3 if broken and error.errno is not None else None


def _is_away(error: BaseException) -> bool:
    """Whether Postgres is away: its other operational errors are a statement's, such as a deadlock."""
    state = getattr(getattr(error, "orig", error), "sqlstate", None) or getattr(error, "pgcode", None)
    return state is None or state.startswith(_POSTGRES_OUTAGES)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error, and what it was raised from or while handling."""
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        yield one
        one = one.__cause__ or (None if one.__suppress_context__ else one.__context__)
