"""Whether landing objects can be merged: each is looked at before a merge plans to read it.

A merge reads hundreds of objects in one plan, and Spark names none of them where one cannot be read. The end of each
object (its Parquet footer) is fetched first; only where a merge fails all the same are whole objects read.
"""

import hashlib
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import boto3
import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from contracts.errors import StoreUnavailable
from contracts.record import LANDING_SCHEMA
from contracts.settings import LakeSettings

CONTRACT = hashlib.sha256(LANDING_SCHEMA.to_string(show_field_metadata=False).encode()).hexdigest()[:16]
"""Names the columns of this version's landing: an object that another version refused is looked at again."""
_TAIL = 64 * 1024
"""Bytes at an object's end that hold its footer, but for objects of very many row groups."""
_AT_ONCE = 16
_MISSING = {"NoSuchKey", "404", "NotFound"}
_EMPTY = "InvalidRange"


class Finding(msgspec.Struct, frozen=True):
    """What one look at an object found. `reason` is empty where it can be merged; `etag` where it is missing."""

    etag: str
    reason: str = ""


def inspect_objects(settings: LakeSettings, rows: Mapping[str, int], *, whole: bool = False) -> dict[str, Finding]:
    """Look at these landing objects (keys, with the rows that the ledger says each has).

    whole: read every row, not the footer alone. Raises StoreUnavailable: what S3 does not answer is not damage.
    """
    client = _client(settings)
    look = partial(_look, client, settings.bucket, _whole if whole else _footer)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return dict(zip(rows, pool.map(look, rows, rows.values()), strict=True))


def etags_of(settings: LakeSettings, keys: list[str]) -> dict[str, str]:
    """The etag of each object as it is now, empty where it is missing. Raises StoreUnavailable."""
    client = _client(settings)

    def etag(key: str) -> str:
        answer = _answer(partial(client.head_object, Bucket=settings.bucket, Key=key), settings.bucket)
        return "" if isinstance(answer, str) else str(answer["ETag"])

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return dict(zip(keys, pool.map(etag, keys), strict=True))


def _look(client: Any, bucket: str, read: Callable[[bytes], int], key: str, rows: int) -> Finding:
    part = {"Range": f"bytes=-{_TAIL}"} if read is _footer else {}
    answer = _answer(partial(client.get_object, Bucket=bucket, Key=key, **part), bucket)
    if isinstance(answer, str) and answer in _MISSING:
        return Finding("", f"bucket {bucket} does not have the object")
    if isinstance(answer, str):
        head = client.head_object(Bucket=bucket, Key=key)
        return Finding(str(head["ETag"]), f"{head['ContentLength']} bytes are not a Parquet file ({answer})")
    etag, body = str(answer["ETag"]), answer["Body"].read()
    if read is _footer and _is_longer(body):
        body = client.get_object(Bucket=bucket, Key=key)["Body"].read()
    return Finding(etag, _reason(read, body, rows))


def _answer(request: Callable[[], Any], bucket: str) -> Any:
    """What S3 answers; the error code as text where it has no such object or range."""
    try:
        return request()
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        if code in _MISSING or code == _EMPTY:
            return code
        raise StoreUnavailable(f"S3 refused to give an object of bucket {bucket}: {code}") from error
    except BotoCoreError as error:
        raise StoreUnavailable(f"S3 does not answer for bucket {bucket}: {type(error).__name__}") from error


def _is_longer(tail: bytes) -> bool:
    """Whether the footer begins before the bytes that were fetched: its length stands before the last 4 bytes."""
    return len(tail) == _TAIL and tail.endswith(b"PAR1") and int.from_bytes(tail[-8:-4], "little") > _TAIL - 8


def _reason(read: Callable[[bytes], int], body: bytes, rows: int) -> str:
    try:
        found = read(body)
    except (pa.ArrowException, OSError) as error:
        return str(error).split("\n", maxsplit=1)[0]
    return "" if found == rows else f"it has {found:,} rows, the ledger says {rows:,}"


def _footer(tail: bytes) -> int:
    """Rows of the file whose end this is. Raises pa.ArrowException, OSError where it is no landing object."""
    metadata = pq.read_metadata(pa.BufferReader(tail))
    _refuse_foreign(metadata.schema.to_arrow_schema())
    return int(metadata.num_rows)


def _whole(body: bytes) -> int:
    table = pq.read_table(pa.BufferReader(body), use_threads=False)
    _refuse_foreign(table.schema)
    return int(table.num_rows)


def _refuse_foreign(schema: pa.Schema) -> None:
    """A column of another type, one that the contract lacks, or a required one that the object lacks."""
    for field in schema:
        if field.name not in LANDING_SCHEMA.names:
            raise pa.ArrowInvalid(f"its column {field.name} is not one of this version's contract; upgrade the lake")
        expected = LANDING_SCHEMA.field(field.name).type
        if not _same(field.type, expected):
            raise pa.ArrowInvalid(f"its column {field.name} is {field.type}, the contract says {expected}")
    for field in LANDING_SCHEMA:
        if not field.nullable and field.name not in schema.names:
            raise pa.ArrowInvalid(f"it lacks the column {field.name}")


def _same(found: pa.DataType, expected: pa.DataType) -> bool:
    """Whether two types are one; the names that Parquet gives to the items of a list do not matter."""
    if pa.types.is_list(found) and pa.types.is_list(expected):
        return _same(found.value_type, expected.value_type)
    if pa.types.is_map(found) and pa.types.is_map(expected):
        return _same(found.key_type, expected.key_type) and _same(found.item_type, expected.item_type)
    return bool(found == expected)


def _client(settings: LakeSettings) -> Any:
    # A pool as large as the threads that share the client.
    kwargs = settings.s3.client_kwargs(settings.row.aws_region)
    return boto3.client("s3", config=Config(max_pool_connections=_AT_ONCE), **kwargs)
