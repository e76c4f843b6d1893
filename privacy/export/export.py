"""Answers a request for access or portability: every part written, indexed, put or kept, and written down."""

import json
import shutil
import tempfile
import zipfile
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import perf_counter
from typing import Any

import msgspec

from contracts.erasable import Scope
from contracts.errors import Misuse
from contracts.portable import Part
from contracts.settings import RegionSettings
from privacy.export.bucket import put_answer
from privacy.export.index import index_of, page_of
from privacy.export.writing import Written, write_part
from privacy.requests import Kind, Request, SubjectKind, complete, note_step, take_up


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What was given."""

    region: str
    request_id: str
    parts: dict[str, int]
    """Rows by part."""
    bytes: int
    seconds: float
    link: str | None = None
    link_ends_at: datetime | None = None
    folder: str | None = None

    def document(self) -> dict[str, Any]:
        """JSON-able. The link opens the answer to whoever has it."""
        document: dict[str, Any] = msgspec.to_builtins(self)
        return document | {"rows": sum(self.parts.values())}


def answer(
    settings: RegionSettings,
    kind: SubjectKind,
    name: str,
    scope: Scope,
    parts: Sequence[Part],
    *,
    who: str,
    start: datetime | None = None,
    end: datetime | None = None,
    folder: Path | None = None,
) -> Answer:
    """Answer a request: write all parts, and the index, to `folder`, or into exports/ with a link that ends.

    The request and each step are in privacy.requests and the audit; the answer's files are on this machine only while
    they are written. A request that a killed run has left open is answered anew. Raises Misuse where the folder has
    something in it, StoreUnavailable.
    """
    if folder is not None and folder.exists() and any(folder.iterdir()):
        raise Misuse(f"{folder} has files in it; name a folder that is new or empty")
    began = perf_counter()
    request = take_up(settings, Kind.EXPORT, kind, name, who=who, start=start, end=end, scope=scope.document())
    with tempfile.TemporaryDirectory(prefix="answer-") as scratch:
        target = folder or Path(scratch) / "answer"
        (target / "data").mkdir(parents=True, exist_ok=True, mode=0o700)
        written = [(part, write_part(part, target / "data")) for part in parts]
        counts = {part.name: done.rows for part, done in written}
        request = note_step(settings, request, "written", counts, who=who)
        link, ends = None, None
        if folder is None:
            link, ends, size = _put(settings, scope, request, written, target, Path(scratch))
        else:
            _write_index(settings, scope, request, written, target, None)
            size = sum(file.stat().st_size for file in target.rglob("*") if file.is_file())
    complete(settings, request, who=who, counts=counts | {"bytes": size}, expires_at=ends)
    seconds = round(perf_counter() - began, 2)
    return Answer(
        region=settings.region,
        request_id=str(request.request_id),
        parts=counts,
        bytes=size,
        seconds=seconds,
        link=link,
        link_ends_at=ends,
        folder=None if folder is None else str(folder),
    )


def _put(
    settings: RegionSettings,
    scope: Scope,
    request: Request,
    written: Sequence[tuple[Part, Written]],
    target: Path,
    scratch: Path,
) -> tuple[str, datetime, int]:
    ends = datetime.now(UTC) + timedelta(hours=settings.export_link_h)
    _write_index(settings, scope, request, written, target, ends)
    file = scratch / "answer.zip"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as packed:
        for one in sorted(target.rglob("*")):
            if one.is_file():
                kind = zipfile.ZIP_STORED if one.suffix == ".parquet" else zipfile.ZIP_DEFLATED
                packed.write(one, one.relative_to(target), compress_type=kind)
    shutil.rmtree(target)
    link = put_answer(settings, str(request.request_id), file)
    return link, ends, file.stat().st_size


def _write_index(
    settings: RegionSettings,
    scope: Scope,
    request: Request,
    written: Sequence[tuple[Part, Written]],
    target: Path,
    expires_at: datetime | None,
) -> None:
    index = index_of(settings.row, scope, str(request.request_id), written, expires_at)
    (target / "index.json").write_text(json.dumps(index, indent=1), encoding="utf-8")
    (target / "index.html").write_text(page_of(index), encoding="utf-8")
