"""KPL framing: several user records in one Kinesis record.

The format is the Kinesis Producer Library's aggregation format: four magic bytes, a protobuf message
AggregatedRecord, and the MD5 of that message. Source: "KPL Aggregated Record Format", awslabs/amazon-kinesis-producer.
"""

from collections.abc import Iterable, Sequence
from hashlib import md5
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

MAGIC = b"\xf3\x89\x9a\xc2"
DIGEST_BYTES = 16
MAX_USER_RECORDS = 100_000
"""Most user records that an aggregate may hold; one that holds more is rejected whole."""
MAX_AGGREGATE_BYTES = 10 * 1024 * 1024
"""Kinesis' own bound on a record where a stream allows it. The framing does not compress: decoding cannot grow it."""


class BadAggregate(ValueError):
    """A record starts as a KPL aggregate but does not decode as one, or exceeds the caps."""


def is_aggregate(data: bytes) -> bool:
    """Whether a Kinesis record's bytes start as a KPL aggregate."""
    return data.startswith(MAGIC)


def aggregate(records: Iterable[tuple[str, bytes]], tag: tuple[str, str] | None = None) -> bytes:
    """One Kinesis record of these (partition key, user record) pairs. tag: key and value, put on each user record."""
    message = _AggregatedRecord()
    keys: dict[str, int] = {}
    for key, data in records:
        index = keys.setdefault(key, len(keys))
        record = message.records.add(partition_key_index=index, data=data)
        if tag is not None:
            record.tags.add(key=tag[0], value=tag[1])
    message.partition_key_table.extend(keys)
    body: bytes = message.SerializeToString()
    return MAGIC + body + md5(body, usedforsecurity=False).digest()


def deaggregate(data: bytes) -> Sequence[bytes]:
    """The user records of an aggregate, in their order (the index is the sub-sequence).

    Raises BadAggregate where the checksum or the message is wrong or holds too many records. A record that does not
    start with MAGIC is no aggregate: ask is_aggregate first.
    """
    if len(data) > MAX_AGGREGATE_BYTES:
        raise BadAggregate(f"aggregate of {len(data)} bytes exceeds {MAX_AGGREGATE_BYTES}")
    body, digest = data[len(MAGIC) : -DIGEST_BYTES], data[-DIGEST_BYTES:]
    if md5(body, usedforsecurity=False).digest() != digest:
        raise BadAggregate("aggregate's MD5 does not match its body")
    try:
        message = _AggregatedRecord.FromString(body)
    except DecodeError as error:
        raise BadAggregate(f"aggregate is no AggregatedRecord: {error}") from None
    if len(message.records) > MAX_USER_RECORDS:
        raise BadAggregate(f"aggregate of {len(message.records)} user records exceeds {MAX_USER_RECORDS}")
    return [record.data for record in message.records]


def _message_class() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="fleetlake/kpl.proto", package="fleetlake.kpl", syntax="proto2")
    field = descriptor_pb2.FieldDescriptorProto
    tag = file.message_type.add(name="Tag")
    tag.field.add(name="key", number=1, type=field.TYPE_STRING, label=field.LABEL_REQUIRED)
    tag.field.add(name="value", number=2, type=field.TYPE_STRING, label=field.LABEL_OPTIONAL)
    record = file.message_type.add(name="Record")
    record.field.add(name="partition_key_index", number=1, type=field.TYPE_UINT64, label=field.LABEL_REQUIRED)
    record.field.add(name="explicit_hash_key_index", number=2, type=field.TYPE_UINT64, label=field.LABEL_OPTIONAL)
    record.field.add(name="data", number=3, type=field.TYPE_BYTES, label=field.LABEL_REQUIRED)
    record.field.add(
        name="tags", number=4, type=field.TYPE_MESSAGE, label=field.LABEL_REPEATED, type_name=".fleetlake.kpl.Tag"
    )
    whole = file.message_type.add(name="AggregatedRecord")
    whole.field.add(name="partition_key_table", number=1, type=field.TYPE_STRING, label=field.LABEL_REPEATED)
    whole.field.add(name="explicit_hash_key_table", number=2, type=field.TYPE_STRING, label=field.LABEL_REPEATED)
    whole.field.add(
        name="records",
        number=3,
        type=field.TYPE_MESSAGE,
        label=field.LABEL_REPEATED,
        type_name=".fleetlake.kpl.Record",
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("fleetlake.kpl.AggregatedRecord"))


_AggregatedRecord = _message_class()
