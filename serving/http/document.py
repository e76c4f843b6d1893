"""The OpenAPI document as people and generators of clients read it: examples, units, names and problems."""

import re
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

from litestar import Request
from litestar.openapi.plugins import JsonRenderPlugin

from serving.http.answers import BASE, MEDIA
from serving.problems import Problem

_Json = dict[str, Any]
_TIME, _DAY, _ID = "2026-11-01T08:30:00Z", "2026-11-01", "0b6f0c1e-6d0f-4f0e-9f57-0c5d8c1f4a11"
EXAMPLES: dict[str, Any] = {
    "Last-Event-ID": "1796000000000-0",
    "after": "eu-truck-0003",
    "answer": "204",
    "at": _TIME,
    "attempts": 1,
    "bbox": "5.8,47.2,15.1,55.1",
    "began_before": False,
    "code": "P0301",
    "columns": "ts,lat,lon,speed_kmh",
    "created_by": "auth0|42",
    "day": _DAY,
    "device_id": "eu-truck-0003",
    "devices": 42,
    "event_id": _ID,
    "ended": True,
    "every_s": 60,
    "fleet": "eu-fleet-01",
    "fleet_id": "eu-fleet-01",
    "format": "json",
    "from": _DAY,
    "fuel": "diesel",
    "heading_deg": 270.0,
    "id": 4711,
    "is_final": True,
    "kind": "zone.entered",
    "lat": 52.52,
    "left_out": 0,
    "limit": 100,
    "lon": 13.405,
    "make": "MAN",
    "missing": ["live"],
    "model": "TGX",
    "more": False,
    "moving": 17,
    "name": "Depot North",
    "near": "52.52,13.405",
    "next": "eu-truck-0003",
    "page": "/map/shared.html#guest=guest.…",
    "path": [[1_796_000_000_000, 52.52, 13.405, 61.5]],
    "q": "truck",
    "radius_m": 10_000,
    "ring": [[13.3, 52.46], [13.5, 52.46], [13.5, 52.56], [13.3, 52.56]],
    "replaces": _ID,
    "role": "viewer",
    "secret": "whsec_…",
    "simplify_m": 20,
    "sources": {"history": 8_640, "landing": 120, "live": 3},
    "state": "moving",
    "status": "moving",
    "subject": "auth0|42",
    "to": _DAY,
    "token_id": "6b1f",
    "total": 42,
    "trip_id": "eu-truck-0003-1796000000000",
    "type": "truck",
    "url": "https://example.com/fleetlake",
    "version": "1796000000000-0",
    "visits": True,
    "what": "trail",
    "without_position": 0,
    "zone": _ID,
    "zoom": 5,
}
"""By the name of a parameter or field; fields of other objects have theirs."""
_BY_ENDING: tuple[tuple[str, Any], ...] = (
    (r"(^|_)(ts|at|valid_from|valid_to|ends|next_at|start|end)$", _TIME),
    (r"_id$", _ID),
    (r"_lat_deg$", 52.52),
    (r"_lon_deg$", 13.405),
    (r"_kmh$", 61.5),
    (r"_km$", 212.4),
    (r"_s$", 3_600.0),
    (r"_l$", 18.2),
    (r"(^|_)(records|trips|faults|devices_\w+|attempts)$", 12),
)
_UNITS: tuple[tuple[str, str], ...] = (
    (r"_kmh$", "km/h"),
    (r"_km$", "km"),
    (r"_s$", "seconds"),
    (r"_l$", "litres"),
    (r"_m$", "metres"),
    (r"(^lat|^lon|_deg)$", "degrees, WGS 84"),
    (r"(_ts|_at|valid_from|valid_to|^ts|^ends)$", "UTC, RFC 3339"),
    (r"^day$", "business day of the region"),
)
_OF_EVERY_PATH = (400, 401, 403, 404, 429, 500, 503)
_FIRST_SENTENCE = re.compile(r"^(.*?[.:])(?:\s|$)", re.DOTALL)


class Document(JsonRenderPlugin):
    """Serves the document at openapi.json."""

    def render(self, request: Request[Any, Any, Any], openapi_schema: _Json) -> bytes:
        """The document as JSON."""
        return super().render(request, described(openapi_schema))


def described(document: _Json) -> _Json:
    """The document with examples of parameters and fields, their units, problems, and names without the framework's."""
    whole = deepcopy(document)
    schemas: _Json = whole["components"].setdefault("schemas", {})
    for schema in schemas.values():
        for name, field in schema.get("properties", {}).items():
            _describe(name, field)
    schemas["Problem"] = _problem()
    for path, method, operation in _operations(whole):
        words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", operation["summary"]).lower().split()
        operation["operationId"] = words[0] + "".join(word.title() for word in words[1:])
        found = _FIRST_SENTENCE.match(operation.get("description", ""))
        operation["summary"] = found[1].rstrip(".:") if found else " ".join(words)
        for parameter in operation.get("parameters", ()):
            parameter["example"] = _example_of(parameter["name"], parameter["schema"])
        kept = {code: answer for code, answer in operation["responses"].items() if code.startswith("2")}
        operation["responses"] = kept | _problems(path, method)
    return whole


def _operations(document: _Json) -> Iterator[tuple[str, str, _Json]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if isinstance(operation, dict) and "responses" in operation:
                yield path, method, operation


def _describe(name: str, field: _Json) -> None:
    unit = next((unit for pattern, unit in _UNITS if re.search(pattern, name)), None)
    if unit and unit not in field.get("description", ""):
        field["description"] = f"{field['description'].rstrip('.')}; {unit}." if "description" in field else f"{unit}."
    example = _example_of(name, field)
    if example is not None:
        field.setdefault("examples", [example])


def _example_of(name: str, schema: _Json) -> Any:
    """An example that the schema allows, or None."""
    named_elsewhere = "$ref" in str(schema)
    kinds = set() if named_elsewhere else {kind for one in (schema, *schema.get("oneOf", ())) for kind in _kinds(one)}
    named = EXAMPLES.get(name)
    if named is None:
        named = next((value for pattern, value in _BY_ENDING if re.search(pattern, name)), None)
    fits = {str: "string", bool: "boolean", int: "integer", float: "number", list: "array", dict: "object"}
    if named is not None and (not kinds or fits[type(named)] in kinds):
        return named
    if isinstance(named, int | float) and not isinstance(named, bool):
        return int(named) if "integer" in kinds else float(named) if "number" in kinds else None
    return None


def _kinds(schema: _Json) -> list[str]:
    kind = schema.get("type", [])
    return kind if isinstance(kind, list) else [kind]


def _problems(path: str, method: str) -> _Json:
    """The problems that a path answers with, by status."""
    statuses = [*_OF_EVERY_PATH, *((422,) if path.endswith(("/trail", "/visits", "/devices")) else ())]
    if method == "post":
        statuses.append(413)
    content = {MEDIA: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    titles = {kind.status: kind.title for kind in (Problem, *Problem.__subclasses__())} | {413: "The body is too large"}
    return {str(status): {"description": titles[status], "content": content} for status in sorted(statuses)}


def _problem() -> _Json:
    text: _Json = {"type": "string"}
    return {
        "type": "object",
        "title": "Problem",
        "description": "What a request was refused for (RFC 9457).",
        "required": ["type", "title", "status"],
        "properties": {
            "type": text | {"description": "The kind.", "examples": [f"{BASE}bad-request"]},
            "title": text | {"examples": ["The request cannot be answered as it is"]},
            "status": {"type": "integer", "examples": [400]},
            "detail": text | {"description": "What to do.", "examples": ["after: hand back `next` of the page before"]},
        },
    }
