"""Puts user records on a Kinesis stream, aggregated as the KPL does, in order for each device."""

from producer.aggregator import Limits
from producer.producer import Producer, ProducerReport
from producer.put import RetryRules
from producer.receipts import Receipt, ReceiptProducer, ReceiptRules

__all__ = ["Limits", "Producer", "ProducerReport", "Receipt", "ReceiptProducer", "ReceiptRules", "RetryRules"]
