"""A device's past: its records as the lake's spot query tells them, in every format of `fleetlake trail`."""

import dataclasses
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from litestar import Request, Response, get
from litestar.params import Parameter

from contracts.record import CONTRACT
from serving.api.asking import (
    After,
    DeviceId,
    First,
    Last,
    attached,
    caller_of,
    encoded,
    following_page,
    own_device,
)
from serving.api.models import TrailPage
from serving.api.times import span
from serving.parts import Parts
from serving.problems import BadRequest

if TYPE_CHECKING:
    from lake.trail import Trail

DEFAULT_RECORDS = 10_000
_FIELDS = tuple(column.name for column in CONTRACT)


class Form(StrEnum):
    """How the records are written."""

    json = "json"
    jsonl = "jsonl"
    csv = "csv"
    geojson = "geojson"
    gpx = "gpx"
    parquet = "parquet"


_MEDIA = {
    Form.json: "application/json",
    Form.jsonl: "application/jsonl",
    Form.csv: "text/csv; charset=utf-8",
    Form.geojson: "application/geo+json",
    Form.gpx: "application/gpx+xml",
    Form.parquet: "application/vnd.apache.parquet",
}


@get("/devices/{device_id:str}/trail", tags=["past"])
async def get_trail(
    request: Request[Any, Any, Any],
    parts: Parts,
    device_id: DeviceId,
    first: First,
    last: Last,
    form: Annotated[
        Form, Parameter(query="format", description="GPX and GeoJSON leave flagged positions out.")
    ] = Form.json,
    columns: Annotated[
        str | None,
        Parameter(max_length=1_000, description="Only these fields, separated by commas; ts is always there."),
    ] = None,
    every_s: Annotated[float | None, Parameter(gt=0, le=86_400, description="One record in so many seconds.")] = None,
    simplify_m: Annotated[
        float | None, Parameter(gt=0, le=100_000, description="Only positions that a line off by so many metres needs.")
    ] = None,
    after: After = None,
    limit: Annotated[
        int, Parameter(ge=1, description="A page of so many records; the settings bound it.")
    ] = DEFAULT_RECORDS,
) -> Response[TrailPage]:
    """Records of a device from history, landing and live state, each once, by time: what `fleetlake trail` prints.

    Where more follows, `next` and the header Fleetlake-Next have the cursor of the next page. Who reads is recorded.
    """
    caller = caller_of(request)
    start, end = span(first, last, parts.settings.row.zone, timedelta(days=parts.own.trail_days))
    names = _chosen(columns, form)
    await own_device(parts, caller, device_id)
    await parts.audit.note(caller, device_id, "trail", start, end)
    found = await parts.trails.trail([device_id], start, end, after, min(limit, parts.own.trail_records))

    def written() -> tuple[bytes, "Trail"]:
        thinned = _thinned(found, every_s, simplify_m)
        return _written(thinned, form, names), thinned

    body, shown = await parts.trails.apart(written)
    return encoded(body, TrailPage, _MEDIA[form], _headers(request, device_id, form, shown))


def _chosen(columns: str | None, form: Form) -> list[str] | None:
    if columns is None:
        return None
    names = [name.strip() for name in columns.split(",") if name.strip()]
    unknown = [name for name in names if name not in _FIELDS]
    if unknown or not names:
        raise BadRequest(f"columns: {', '.join(unknown) or 'none'}; a record has {', '.join(_FIELDS)}")
    if form in (Form.gpx, Form.geojson):
        raise BadRequest(f"columns does not go with {form.value}, which has fields of its own; leave it out")
    return ["ts", *(name for name in dict.fromkeys(names) if name != "ts")]


def _thinned(found: "Trail", every_s: float | None, simplify_m: float | None) -> "Trail":
    from lake.trail.thinning import one_in, simplified

    records = found.records if every_s is None else one_in(found.records, every_s)
    return dataclasses.replace(found, records=records if simplify_m is None else simplified(records, simplify_m))


def _written(found: "Trail", form: Form, names: list[str] | None) -> bytes:
    from lake.trail.formats import FORMATS

    if form is Form.json:
        return _json(found, names)
    if names is not None and form is Form.parquet:
        return FORMATS["parquet"](dataclasses.replace(found, records=found.records.select(names)))
    return FORMATS[form.value](found) if names is None else FORMATS[form.value](found, names)


def _json(found: "Trail", names: list[str] | None) -> bytes:
    from lake.trail.formats import contract_records

    records = list(contract_records(found))
    if names is not None:
        records = [{name: record[name] for name in names if name in record} for record in records]
    page = TrailPage(
        device_id=found.name,
        start=found.start,
        end=found.end,
        records=records,
        sources=msgspec.to_builtins(found.sources),
        missing=list(found.missing),
        next=found.next,
    )
    return msgspec.json.encode(page)


def _headers(request: Request[Any, Any, Any], device_id: str, form: Form, found: "Trail") -> dict[str, str]:
    headers = {"Fleetlake-Records": str(found.records.num_rows)}
    if form is not Form.json:
        headers |= attached(device_id, form)
    if found.missing:
        headers["Fleetlake-Missing"] = ", ".join(found.missing)
    return headers | following_page(request, found.next)
