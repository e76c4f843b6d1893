"""Puts user records on a Kinesis stream, aggregated as the KPL does, each device's records in their order."""

from devices.producer.aggregator import Limits
from devices.producer.producer import Producer, ProducerReport
from devices.producer.put import RetryRules

__all__ = ["Limits", "Producer", "ProducerReport", "RetryRules"]
