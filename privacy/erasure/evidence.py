"""The report of an erasure: what was where before and after, signed under the region's key. It names nobody.

Whoever holds the region's key can check that it is what the erasure wrote (GDPR Art. 5(2): the controller shall be able
to demonstrate). The log's head stands in it, so that a log that was cut off since does not verify.
"""

import hmac
import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from contracts.erasable import Remains
from contracts.pseudonyms import EVIDENCE, key_for
from contracts.settings import RegionSettings
from privacy import audit
from privacy.requests import Request

ARTICLES = "GDPR Art. 17(1), 12(3), 5(2)"
_SIGNATURE = "signature"


def report(
    settings: RegionSettings,
    request: Request,
    *,
    devices: int,
    before: Mapping[str, int],
    after: Mapping[str, int],
    canary: Mapping[str, Mapping[str, int]],
    remains: Iterable[Remains],
) -> dict[str, Any]:
    """The signed report of an erasure at this moment. before, after: decoded hits by store.

    canary: the same of a name that was put there to be found.
    """
    stores = sorted(before.keys() | after.keys())
    document = {
        "what": "erasure",
        "law": ARTICLES,
        "region": settings.region,
        "regime": settings.row.legal_regime,
        "request_id": str(request.request_id),
        "subject_kind": request.subject_kind.value,
        "devices": devices,
        "requested_at": _text(request.created_at),
        "due_at": _text(request.due_at),
        "made_at": _text(datetime.now(UTC)),
        "steps": request.steps,
        "stores": {name: {"before": before.get(name, 0), "after": after.get(name, 0)} for name in stores},
        "hits_before": sum(before.values()),
        "hits_after": sum(after.values()),
        "canary": canary,
        "remains": [one.document() for one in remains],
        "audit_head": audit.verify(settings).head,
    }
    return document | {_SIGNATURE: signature_of(settings, document)}


def searched_again(settings: RegionSettings, report: Mapping[str, Any], said: Mapping[str, Any]) -> dict[str, Any]:
    """The report with what a later search found, signed anew; one that is not genuine gets no signature by that."""
    document = {**report, **said}
    return document | {_SIGNATURE: signature_of(settings, document)} if is_genuine(settings, report) else document


def signature_of(settings: RegionSettings, document: Mapping[str, Any]) -> str:
    """HMAC-SHA-256 of the document as canonical JSON, without its signature."""
    bare = {name: value for name, value in document.items() if name != _SIGNATURE}
    text = json.dumps(bare, sort_keys=True, separators=(",", ":"), default=str)
    return hmac.digest(key_for(settings.release_key, EVIDENCE), text.encode(), sha256).hex()


def is_genuine(settings: RegionSettings, document: Mapping[str, Any]) -> bool:
    """Whether the document is as this region signed it."""
    said, made = str(document.get(_SIGNATURE, "")), signature_of(settings, document)
    return hmac.compare_digest(said.encode(errors="replace"), made.encode())


def expiry_of(remains: Iterable[Remains], now: datetime) -> datetime:
    """When the last of what remains is over, as far as that is known."""
    return max((one.until for one in remains if one.until is not None), default=now)


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds")
