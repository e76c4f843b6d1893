"""Answers in exports/ of the region's bucket: put, linked to for a while, removed. Keys hold the request's id alone."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from contracts.errors import StoreUnavailable
from contracts.names import EXPORTS_PREFIX, SUPPRESSION_COPIES
from contracts.retention import Expiry, Standing, Standings
from contracts.settings import RegionSettings

EXPORTS = "exports"


def put_answer(settings: RegionSettings, request_id: str, file: Path) -> str:
    """Put an answer; a link to it, which ends after `export_link_h`."""
    client, key = _client(settings), f"{EXPORTS_PREFIX}{request_id}/answer.zip"
    client.upload_file(str(file), settings.bucket, key)
    wanted, seconds = {"Bucket": settings.bucket, "Key": key}, round(settings.export_link_h * 3600)
    link: str = client.generate_presigned_url("get_object", wanted, ExpiresIn=seconds)
    return link


class ExportObjects:
    """Answers whose link has ended (contracts.retention.Retained)."""

    name = EXPORTS

    def __init__(self, settings: RegionSettings) -> None:
        self._settings = settings

    def look(self, due: Expiry) -> Standings:
        """See Retained."""
        objects = list(_objects(self._settings))
        oldest = min((at for _, at in objects), default=None)
        day = None if oldest is None else oldest.astimezone(self._settings.row.zone).date()
        return {EXPORTS: Standing(rows=len(objects), overdue=len(self._ended(due)), oldest=day)}

    def remove(self, due: Expiry) -> Mapping[str, int]:
        """See Retained."""
        keys = self._ended(due)
        _remove(self._settings, keys)
        return {EXPORTS: len(keys)}

    def _ended(self, due: Expiry) -> list[str]:
        now = datetime.now(UTC)
        then = now - due.since(now.astimezone(self._settings.row.zone).date())
        since = then - timedelta(hours=self._settings.export_link_h)
        return [key for key, at in _objects(self._settings) if at < since]


def _remove(settings: RegionSettings, keys: Iterable[str]) -> None:
    client = _client(settings)
    for key in keys:
        client.delete_object(Bucket=settings.bucket, Key=key)
    left = set(keys).intersection(key for key, _ in _objects(settings))
    if left:
        raise StoreUnavailable(f"S3 bucket {settings.bucket} does not delete {len(left)} objects of {EXPORTS_PREFIX}")


def _objects(settings: RegionSettings) -> Iterator[tuple[str, datetime]]:
    pages = _client(settings).get_paginator("list_objects_v2").paginate(Bucket=settings.bucket, Prefix=EXPORTS_PREFIX)
    found = ((item["Key"], item["LastModified"]) for page in pages for item in page.get("Contents", ()))
    # Copies of the suppression list lie there too (deploy.suppression): they name nobody, and have to last.
    return ((key, at) for key, at in found if not key.startswith(SUPPRESSION_COPIES))


def _client(settings: RegionSettings) -> Any:
    config = Config(signature_version="s3v4", s3={"addressing_style": "path" if settings.s3.endpoint else "auto"})
    return boto3.client("s3", config=config, **settings.s3.client_kwargs(settings.row.aws_region))
