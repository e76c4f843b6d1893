"""Puts user records on a Kinesis stream, aggregated as the KPL does, each device's records in their order."""

from producer.aggregator import Limits
from producer.producer import Producer, ProducerReport
from producer.put import RetryRules

__all__ = ["Limits", "Producer", "ProducerReport", "RetryRules"]
