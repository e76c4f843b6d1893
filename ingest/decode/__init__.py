"""Decoding: Kinesis records to columns of the landing schema, validated and flagged."""

from ingest.decode.away import AwayDevices
from ingest.decode.decoder import DECODER_VERSION, JsonDecoder
from ingest.suppression import HashedSuppression, NoSuppression, Suppression, hashed_device

__all__ = [
    "DECODER_VERSION",
    "AwayDevices",
    "HashedSuppression",
    "JsonDecoder",
    "NoSuppression",
    "Suppression",
    "hashed_device",
]
