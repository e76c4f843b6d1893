"""Problems as answers (RFC 9457)."""

from typing import Any

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException

from contracts.outages import store_of
from serving.parts import Parts
from serving.problems import BadRequest, NotFound, Problem
from serving.stores.away import away

MEDIA = "application/problem+json"
BASE = "urn:fleetlake:problem:"
_NOT_FOUND, _SERVER_ERROR = 404, 500
_log = structlog.get_logger(__name__)
_Request = Request[Any, Any, Any]


def of_problem(request: _Request, problem: Problem) -> Response[bytes]:
    """A problem that was raised on purpose."""
    return _answer(request, problem.status, problem.kind, problem.title, problem.detail, problem.retry_after_s)


def of_validation(request: _Request, error: ValidationException) -> Response[bytes]:
    """A parameter that is missing or out of bounds; its value is not repeated."""
    extra = error.extra if isinstance(error.extra, list) else []
    said = [f"{one.get('key', 'a parameter')}: {one.get('message', 'is wrong')}" for one in extra]
    detail = "; ".join(said) or error.detail.partition(" for path")[0]
    return _answer(request, BadRequest.status, BadRequest.kind, BadRequest.title, detail)


def of_http(request: _Request, error: HTTPException) -> Response[bytes]:
    """What the framework refuses: a path or method that there is not."""
    if error.status_code == _NOT_FOUND:
        return of_problem(request, NotFound("no such path"))
    answer = _answer(request, error.status_code, "http", error.detail.split("\n")[0][:200] or "Refused", "")
    answer.headers.update(error.headers or {})
    return answer


def of_any(request: _Request, error: Exception) -> Response[bytes]:
    """An outage that nobody named, or a fault of the program, whose text may quote a record and is not told."""
    store = store_of(error)
    if store is not None:
        return of_problem(request, away(store))
    _log.error("serving.failed", path=request.scope.get("path_template"), error=type(error).__name__, exc_info=True)
    return _answer(request, _SERVER_ERROR, Problem.kind, Problem.title, "the fault is in the service's log")


def _answer(
    request: _Request, status: int, kind: str, title: str, detail: str, retry_after_s: float | None = None
) -> Response[bytes]:
    parts: Parts | None = getattr(request.app.state, "parts", None)
    if parts is not None:
        parts.metrics.refused.labels(kind).inc()
    body = {"type": f"{BASE}{kind}", "title": title, "status": status, **({"detail": detail} if detail else {})}
    headers = {} if retry_after_s is None else {"Retry-After": str(max(1, round(retry_after_s)))}
    if status == 401:  # noqa: PLR2004
        headers["WWW-Authenticate"] = 'Bearer realm="fleetlake"'
    return Response(msgspec.json.encode(body), status_code=status, media_type=MEDIA, headers=headers)
