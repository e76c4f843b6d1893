"""Exports that the region made: copies for their readers, deleted where they name the scope. An adapter of
contracts.erasable: exports/ is this room's own store.
"""

import io
import zipfile
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import boto3
import pyarrow as pa
import pyarrow.parquet as pq

from contracts.erasable import Counts, Remains, Scope
from contracts.names import EXPORTS_PREFIX
from contracts.settings import RegionSettings
from privacy.search.decoding import decoded


class Exports:
    """The objects below exports/."""

    name = "exports"
    stores = ("s3:exports/",)

    def __init__(self, settings: RegionSettings) -> None:
        self._settings = settings

    def count(self, scope: Scope) -> Counts:
        """Objects that name the scope, in their keys or decoded."""
        return {"s3:exports/": sum(1 for _ in self._naming(scope))}

    def search(self, scope: Scope) -> Counts:
        """The same."""
        return self.count(scope)

    def erase(self, scope: Scope) -> Counts:
        """Delete them: an export is made anew for whoever may have it still."""
        gone = 0
        for key in list(self._naming(scope)):
            self._client.delete_object(Bucket=self._settings.bucket, Key=key)
            gone += 1
        return {"s3:exports/": gone}

    def plant(self, scope: Scope) -> Sequence[str]:
        """An answer as an export writes it: a search that does not unpack and decode does not find it."""
        rows, packed = io.BytesIO(), io.BytesIO()
        pq.write_table(pa.table({"device_id": list(scope.devices)}), rows, compression="zstd")
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr("data/records.parquet", rows.getvalue())
        key = f"{EXPORTS_PREFIX}{scope.request_id}/canary.zip"
        self._client.put_object(Bucket=self._settings.bucket, Key=key, Body=packed.getvalue())
        return self.stores

    def expires(self, now: datetime) -> list[Remains]:
        """What was fetched from there is with whoever fetched it: Art. 19 has the controller tell them."""
        return []

    @property
    def _client(self) -> Any:
        return boto3.client("s3", **self._settings.s3.client_kwargs(self._settings.row.aws_region))

    def _naming(self, scope: Scope) -> Iterator[str]:
        client = self._client
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=self._settings.bucket, Prefix=EXPORTS_PREFIX)
        for key in [item["Key"] for page in pages for item in page.get("Contents", ())]:
            data = client.get_object(Bucket=self._settings.bucket, Key=key)["Body"].read()
            if scope.needles.found_in(key) or any(scope.needles.found_in(part) for part in decoded(key, data)):
                yield key
