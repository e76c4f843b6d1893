"""The region's bucket as an erasure uses it: small calls, and no version left behind."""

from collections.abc import Iterator
from functools import cached_property
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from contracts.settings import LakeSettings


class Bucket:
    """Objects of the lake's bucket."""

    def __init__(self, settings: LakeSettings) -> None:
        config = Config(retries={"total_max_attempts": 5}, max_pool_connections=16, s3={"addressing_style": "path"})
        where = settings.s3.client_kwargs(settings.row.aws_region)
        self._client: Any = boto3.Session().client("s3", config=config, **where)
        self._name = settings.bucket

    def keys(self, prefix: str) -> Iterator[str]:
        """Keys below a prefix."""
        for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=self._name, Prefix=prefix):
            yield from (item["Key"] for item in page.get("Contents", ()) if not item["Key"].endswith("/"))

    def get(self, key: str) -> bytes | None:
        """The object's bytes; None where there is none."""
        try:
            body: bytes = self._client.get_object(Bucket=self._name, Key=key)["Body"].read()
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") in ("NoSuchKey", "404"):
                return None
            raise
        return body

    def put(self, key: str, data: bytes) -> None:
        """Put an object."""
        self._client.put_object(Bucket=self._name, Key=key, Body=data)

    def delete(self, key: str) -> None:
        """Remove an object with all of its versions."""
        self._client.delete_object(Bucket=self._name, Key=key)
        if self._versioning in ("Enabled", "Suspended"):
            self._delete_versions(key)

    @property
    def versions_known(self) -> bool:
        """Whether the bucket says if it keeps versions; those that it keeps are deleted with the object."""
        return self._versioning is not None

    @cached_property
    def _versioning(self) -> str | None:
        """Enabled, Suspended, or empty; None where the role may not ask."""
        try:
            return str(self._client.get_bucket_versioning(Bucket=self._name).get("Status", ""))
        except ClientError:
            return None

    def _delete_versions(self, key: str) -> None:
        for page in self._client.get_paginator("list_object_versions").paginate(Bucket=self._name, Prefix=key):
            for item in [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]:
                if item["Key"] == key:
                    self._client.delete_object(Bucket=self._name, Key=key, VersionId=item["VersionId"])
