"""Puts user records on a Kinesis stream, aggregated as the KPL does, in order for each device."""

from producer.aggregator import Limits
from producer.producer import Producer, ProducerReport
from producer.put import RetryRules

__all__ = ["Limits", "Producer", "ProducerReport", "RetryRules"]
