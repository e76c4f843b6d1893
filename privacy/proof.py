"""Whether the log of privacy acts, the requests, their signed reports and the suppression list say the same.

The chain shows that no row of the log was changed. It does not show that its end is there, nor what became of the
tables that it speaks of: the reports have the heads of their time, and the log has what each request put on the list.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from uuid import UUID

from contracts.settings import RegionSettings
from privacy import audit, requests
from privacy.audit import Act, Verified
from privacy.erasure import evidence, suppression
from privacy.requests import Kind, Request

_SUPPRESSED, _DONE, _LIFTED = f"{Kind.ERASE}.suppress", f"{Kind.ERASE}.done", "suppression.lifted"


def verify(settings: RegionSettings, head: str | None = None) -> Verified:
    """As audit.verify, with the heads of all reports too; then the first act that another table contradicts.

    It may run beside privacy acts: lifts are counted before the log is read, and all else is read after it.
    """
    lifted = suppression.lifted(settings)
    acts = audit.acts(settings)
    known = {one.request_id: one for one in requests.listed(settings)}
    noted = [str(one.evidence["audit_head"]) for one in known.values() if one.evidence and "audit_head" in one.evidence]
    found = audit.verify(settings, *noted, *([head] if head else []))
    if found.broken is not None:
        return found
    number, why = next(_contradicted(settings, acts, known, lifted), (None, ""))
    return Verified(found.rows, found.head, number, why)


def _contradicted(
    settings: RegionSettings, acts: Iterable[Act], known: Mapping[UUID, Request], lifted: int
) -> Iterator[tuple[int, str]]:
    last = 0
    for act in acts:
        last, said = act.id, json.loads(act.detail)
        request = known.get(act.request_id) if act.request_id else None
        if act.request_id and request is None:
            yield act.id, f"request {act.request_id} is in privacy.requests no more"
        elif act.act == _SUPPRESSED and act.request_id and "digest" in said:
            if why := suppression.tampered(settings, act.request_id, said):
                yield act.id, f"{why} (request {act.request_id})"
        elif (
            act.act == _DONE
            and "hits_before" in said
            and request
            and not evidence.is_genuine(settings, request.evidence or {})
        ):
            yield act.id, f"the report of request {act.request_id} in privacy.requests is not as it was signed"
        elif act.act == _LIFTED:
            lifted -= int(said["entries"])
    if lifted > 0:
        yield last, f"{lifted} entries of the suppression list were lifted, and no act says so"
