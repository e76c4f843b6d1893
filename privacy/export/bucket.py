"""Answers in exports/ of the region's bucket: put, linked to for a while, found again by whom they are about, removed.

Keys hold the request's id alone. Beside each answer lies `scope.json`: keyed hashes of whom it is about.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from contracts.errors import StoreUnavailable
from contracts.pseudonyms import key_for, keyed_hash
from contracts.retention import Expiry, Standing, Standings
from contracts.settings import RegionSettings

PREFIX = "exports/"
ANSWER, SCOPE = "answer.zip", "scope.json"
EXPORTS = "exports"
"""The purpose of the hashes in scope.json (contracts.pseudonyms)."""


def put_answer(settings: RegionSettings, request_id: str, file: Path, names: Iterable[str]) -> tuple[str, datetime]:
    """Put an answer about these devices and people; a link to it, and when the link ends."""
    client, folder = _client(settings), f"{PREFIX}{request_id}/"
    ends = datetime.now(UTC) + timedelta(hours=settings.export_link_h)
    said = {"about": hashes(settings, names), "ends_at": ends.isoformat()}
    client.put_object(Bucket=settings.bucket, Key=folder + SCOPE, Body=json.dumps(said).encode())
    client.upload_file(str(file), settings.bucket, folder + ANSWER)
    wanted = {"Bucket": settings.bucket, "Key": folder + ANSWER}
    link: str = client.generate_presigned_url("get_object", wanted, ExpiresIn=round(settings.export_link_h * 3600))
    return link, ends


def hashes(settings: RegionSettings, names: Iterable[str]) -> list[str]:
    """What stands for these in scope.json."""
    key = key_for(settings.release_key, EXPORTS)
    return sorted(keyed_hash(key, name).hex() for name in set(names))


def answers_about(settings: RegionSettings, names: Iterable[str]) -> list[str]:
    """Keys of all objects of answers that are about one of these devices or people: for whoever erases them."""
    wanted = set(hashes(settings, names))
    found = {folder for folder, said in _scopes(settings) if wanted.intersection(said["about"])}
    return [key for key, _ in _objects(settings) if key.rpartition("/")[0] in found]


class ExportObjects:
    """Answers whose link has ended (contracts.retention.Retained)."""

    name = "exports"

    def __init__(self, settings: RegionSettings) -> None:
        self._settings = settings

    def look(self, due: Expiry) -> Standings:
        """See Retained."""
        objects = list(_objects(self._settings))
        oldest = min((at for _, at in objects), default=None)
        day = None if oldest is None else oldest.astimezone(self._settings.row.zone).date()
        return {EXPORTS: Standing(rows=len(objects), overdue=len(self._ended()), oldest=day)}

    def remove(self, due: Expiry) -> Mapping[str, int]:
        """See Retained."""
        keys = self._ended()
        remove(self._settings, keys)
        return {EXPORTS: len(keys)}

    def _ended(self) -> list[str]:
        """Objects of answers whose link has ended; of one that was never finished, after as long."""
        now = datetime.now(UTC)
        ends = {folder: datetime.fromisoformat(said["ends_at"]) for folder, said in _scopes(self._settings)}
        keep = timedelta(hours=self._settings.export_link_h)
        return [key for key, at in _objects(self._settings) if ends.get(key.rpartition("/")[0], at + keep) < now]


def remove(settings: RegionSettings, keys: Iterable[str]) -> None:
    """Delete these objects. Raises StoreUnavailable where the bucket does not let one go."""
    client = _client(settings)
    for key in keys:
        client.delete_object(Bucket=settings.bucket, Key=key)
    left = set(keys).intersection(key for key, _ in _objects(settings))
    if left:
        raise StoreUnavailable(f"S3 bucket {settings.bucket} does not delete {len(left)} objects of {PREFIX}")


def _scopes(settings: RegionSettings) -> Iterator[tuple[str, dict[str, Any]]]:
    """What scope.json says, by folder."""
    client = _client(settings)
    for key, _ in _objects(settings):
        folder, _, name = key.rpartition("/")
        if name == SCOPE:
            yield folder, json.loads(client.get_object(Bucket=settings.bucket, Key=key)["Body"].read())


def _objects(settings: RegionSettings) -> Iterator[tuple[str, datetime]]:
    pages = _client(settings).get_paginator("list_objects_v2").paginate(Bucket=settings.bucket, Prefix=PREFIX)
    return ((item["Key"], item["LastModified"]) for page in pages for item in page.get("Contents", ()))


def _client(settings: RegionSettings) -> Any:
    addressing = {"addressing_style": "path"} if settings.s3.endpoint else {}
    config = Config(signature_version="s3v4", s3=addressing)
    return boto3.client("s3", config=config, **settings.s3.client_kwargs(settings.row.aws_region))
