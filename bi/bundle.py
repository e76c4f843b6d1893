"""Dashboards, metrics and the marts' columns become Superset's import files: path to content."""

import uuid
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from bi.dashboard import COLUMNS, Chart, Dashboard, Text
from contracts.errors import BadSettings
from contracts.regions import WORLD
from marts.metrics import Metric, metrics_of

Files = dict[str, dict[str, Any]]
_SPACE = uuid.UUID("6f1c7c1e-5b0e-4d0e-9a51-0a7d7a0f1e55")
_UNIT_WIDTH_PX = 8
"""A height of a chart is in grid units of 8 px."""
_FORMATS = {"ratio": ".1%", "l/100 km": ".1f", "h": ",.1f", "min": ",.1f", "km": ",.0f", "km/h": ".0f", "l": ",.1f"}
_COUNT = ",d"
_COUNTS = ("records", "devices")
"""How names of columns that count begin."""
_TIMES = ("date", "timestamp")
_UNITS_OF_NAMES = {"km": "km", "kmh": "km/h", "h": "h", "s": "s", "l": "l", "m": "m", "deg": "°", "pct": "%"}
"""A column's name ends with its unit; here is how a heading has it."""


class Column(msgspec.Struct, frozen=True):
    """A column of a mart as dbt's manifest has it."""

    name: str
    data_type: str
    description: str


class Mart(msgspec.Struct, frozen=True):
    """A mart as dbt's manifest has it."""

    name: str
    description: str
    columns: tuple[Column, ...]


def marts_in(manifest: Mapping[str, Any]) -> dict[str, Mart]:
    """The marts of a region's (or world's) manifest, with descriptions that have units."""
    nodes = [
        node for node in manifest["nodes"].values() if node["resource_type"] == "model" and node["fqn"][-2] == "marts"
    ]
    return {
        node["name"]: Mart(
            node["name"],
            node["description"],
            tuple(
                Column(column["name"], column["data_type"] or "", column["description"])
                for column in node["columns"].values()
            ),
        )
        for node in nodes
    }


def bundle(region: str, dsn: str, marts: Mapping[str, Mart], dashboards: Iterable[Dashboard]) -> Files:
    """Superset's import files of one database and the dashboards over it.

    region: or `world`. dsn: of the reader of BI tools. Every mart becomes a dataset, whether a dashboard shows it or
    not, with its columns' descriptions and its metrics. The same names give the same ids, so an import replaces.
    Raises BadSettings where a chart names a mart or a column that is not there.
    """
    database = f"fleet_{region}"
    metrics = metrics_of(region)
    files: Files = {f"databases/{database}.yaml": _database(region, database, dsn)}
    for mart in marts.values():
        of_mart = [metric for metric in metrics if metric.mart == mart.name]
        files[f"datasets/{database}/{mart.name}.yaml"] = _dataset(region, mart, of_mart)
    for dashboard in dashboards:
        _check_filters(dashboard, marts)
        for chart in dashboard.chart:
            _check_columns(dashboard, chart, marts)
            files[f"charts/{_id(region, dashboard.slug, chart.title)}.yaml"] = _chart(region, dashboard, chart, metrics)
        files[f"dashboards/{region}-{dashboard.slug}.yaml"] = _dashboard(region, dashboard)
    return files


def _check_filters(dashboard: Dashboard, marts: Mapping[str, Mart]) -> None:
    for name in dashboard.filters:
        mart, _, column = name.partition(".")
        if mart not in marts or column not in {one.name for one in marts[mart].columns}:
            raise BadSettings(f"dashboard {dashboard.slug}: no mart has the column of its filter {name!r}")


def _check_columns(dashboard: Dashboard, chart: Chart, marts: Mapping[str, Mart]) -> None:
    if chart.mart not in marts:
        raise BadSettings(
            f"dashboard {dashboard.slug}: {chart.title}: no mart {chart.mart!r}; it has {', '.join(marts)}"
        )
    known = {column.name for column in marts[chart.mart].columns}
    sorted_by = (one.removeprefix("-") for one in chart.order)
    for column in (*chart.by, *sorted_by, *((chart.x,) if chart.kind in {"line", "bar"} else ())):
        if column not in known:
            raise BadSettings(
                f"dashboard {dashboard.slug}: {chart.title}: {chart.mart} has no column {column!r}; "
                f"it has {', '.join(sorted(known))}"
            )


def _id(*words: str) -> str:
    return str(uuid.uuid5(_SPACE, "/".join(words)))


def _database(region: str, name: str, dsn: str) -> dict[str, Any]:
    return {
        "database_name": name,
        "sqlalchemy_uri": "postgresql+psycopg2://" + dsn.split("://", 1)[1],
        "cache_timeout": 0,
        "expose_in_sqllab": True,
        "allow_run_async": False,
        "allow_ctas": False,
        "allow_cvas": False,
        "allow_dml": False,
        "allow_csv_upload": False,
        "extra": {"allows_virtual_table_explore": True},
        "uuid": _id(region, "database"),
        "version": "1.0.0",
    }


def _dataset(region: str, mart: Mart, metrics: Iterable[Metric]) -> dict[str, Any]:
    day = next((column.name for column in mart.columns if column.data_type == "date"), None)
    return {
        "table_name": mart.name,
        "main_dttm_col": day,
        "description": mart.description,
        "default_endpoint": None,
        "offset": 0,
        "cache_timeout": None,
        "schema": "marts",
        "sql": None,
        "params": None,
        "template_params": None,
        "filter_select_enabled": True,
        "fetch_values_predicate": None,
        "extra": None,
        "uuid": _id(region, "mart", mart.name),
        "metrics": [_metric(metric) for metric in metrics],
        "columns": [_column(column) for column in mart.columns],
        "version": "1.0.0",
        "database_uuid": _id(region, "database"),
    }


def _metric(metric: Metric) -> dict[str, Any]:
    return {
        "metric_name": metric.name,
        "verbose_name": label(metric),
        "metric_type": None,
        "expression": metric.expression,
        "description": f"{metric.meaning} Unit: {metric.unit}. {metric.source}",
        "d3format": number_format(metric),
        "extra": {},
        "warning_text": None,
    }


def _column(column: Column) -> dict[str, Any]:
    return {
        "column_name": column.name,
        "verbose_name": heading(column.name),
        "is_dttm": column.data_type.startswith(_TIMES),
        "is_active": True,
        "type": column.data_type.upper(),
        "groupby": True,
        "filterable": True,
        "expression": None,
        "description": column.description,
        "python_date_format": None,
        "extra": {},
    }


def label(metric: Metric) -> str:
    """The metric's name for people, with its unit where the name does not say it."""
    words = metric.label.lower().split()
    says_itself = metric.unit in {"ratio", *words} or (metric.unit == "h" and "hours" in words)
    counted = number_format(metric) == _COUNT
    return metric.label if says_itself or counted else f"{metric.label}, {metric.unit}"


def heading(column: str) -> str:
    """A column's name for people: `left_engine_h` is "Left engine, h", `device_id` is "Device"."""
    words = column.split("_")
    unit = _UNITS_OF_NAMES.get(words[-1]) if len(words) > 1 else None
    if unit is not None or (len(words) > 1 and words[-1] in {"id", "ts"}):
        words.pop()
    text = " ".join(words).capitalize()
    return text if unit is None else f"{text}, {unit}"


def number_format(metric: Metric) -> str:
    """D3's format for the metric's unit: shares as percentages, counts whole."""
    return _FORMATS.get(metric.unit, _COUNT)


def _chart(region: str, dashboard: Dashboard, chart: Chart, metrics: Iterable[Metric]) -> dict[str, Any]:
    known = {metric.name: metric for metric in metrics}
    viz_type, params = _SHAPES[chart.kind](chart, [known[name] for name in chart.metrics])
    limits = [_where(chart.where)] if chart.where else []
    return {
        "slice_name": chart.title,
        "description": chart.note or " ".join(known[name].meaning for name in chart.metrics[:1]),
        "certified_by": None,
        "certification_details": None,
        "viz_type": viz_type,
        "params": {"viz_type": viz_type, "adhoc_filters": limits, "row_limit": chart.limit, **params},
        "query_context": None,
        "cache_timeout": None,
        "uuid": _id(region, dashboard.slug, chart.title),
        "version": "1.0.0",
        "dataset_uuid": _id(region, "mart", chart.mart),
    }


def _where(sql: str) -> dict[str, Any]:
    return {"expressionType": "SQL", "clause": "WHERE", "sqlExpression": sql}


_Shape = tuple[str, dict[str, Any]]
_EVERY_LABEL = {"xAxisLabelInterval": "0", "xAxisLabelRotation": 45, "show_value": True}
"""Of an axis of names: Superset leaves out names that would lie side by side too closely."""


def _number(_: Chart, metrics: list[Metric]) -> _Shape:
    (metric,) = metrics
    unit = "" if number_format(metric) in {".1%", _COUNT} else metric.unit
    shown = {"metric": metric.name, "y_axis_format": number_format(metric), "subheader": unit}
    return "big_number_total", {**shown, "header_font_size": 0.4, "subheader_font_size": 0.15}


def _over(kind: str, chart: Chart, metrics: list[Metric]) -> _Shape:
    is_time = chart.x.endswith("day")
    return f"echarts_timeseries_{kind}", {
        "x_axis": chart.x,
        "time_grain_sqla": "P1D" if is_time else None,
        "x_axis_sort_asc": True,
        "metrics": [metric.name for metric in metrics],
        "groupby": list(chart.by),
        "stack": "Stack" if chart.stacked else None,
        "y_axis_format": number_format(metrics[0]),
        "x_axis_time_format": "%d %b",
        "x_axis_title": "",
        "y_axis_title": "" if number_format(metrics[0]) in {".1%", _COUNT} else metrics[0].unit,
        "y_axis_title_margin": 60,
        "y_axis_title_position": "Left",
        "markerEnabled": True,
        "markerSize": 5,
        "rich_tooltip": True,
        "show_legend": bool(chart.by) or len(metrics) > 1,
        "legendOrientation": "top",
        "truncate_metric": True,
        **({} if is_time else _EVERY_LABEL),
    }


def _line(chart: Chart, metrics: list[Metric]) -> _Shape:
    return _over("line", chart, metrics)


def _bar(chart: Chart, metrics: list[Metric]) -> _Shape:
    return _over("bar", chart, metrics)


def _table(chart: Chart, metrics: list[Metric]) -> _Shape:
    return "table", {
        "query_mode": "aggregate",
        "groupby": list(chart.by),
        "metrics": [metric.name for metric in metrics],
        "timeseries_limit_metric": metrics[0].name,
        "order_desc": True,
        "column_config": {metric.name: {"d3NumberFormat": number_format(metric)} for metric in metrics},
        "show_cell_bars": False,
    }


def _rows(chart: Chart, _: list[Metric]) -> _Shape:
    return "table", {
        "query_mode": "raw",
        "all_columns": list(chart.by),
        "order_by_cols": [_order(one) for one in chart.order],
        "table_timestamp_format": "%Y-%m-%d %H:%M",
        "column_config": {name: found for name in chart.by if (found := _as_shown(name))},
        "server_page_length": 10,
        "page_length": 20,
        "show_cell_bars": False,
    }


def _order(by: str) -> str:
    """What a chart's rows are sorted by, as Superset writes it: a column, and whether it ascends."""
    return msgspec.json.encode([by.removeprefix("-"), not by.startswith("-")]).decode()


def _as_shown(column: str) -> dict[str, str]:
    """How a table shows a column of the mart as it is."""
    if column.endswith("day"):
        return {"d3TimeFormat": "%Y-%m-%d"}
    if column.startswith(_COUNTS):
        return {"d3NumberFormat": _COUNT}
    unit = _UNITS_OF_NAMES.get(column.rpartition("_")[2])
    return {"d3NumberFormat": _FORMATS[unit]} if unit in _FORMATS else {}


_SHAPES = {"number": _number, "line": _line, "bar": _bar, "table": _table, "rows": _rows}


def _dashboard(region: str, dashboard: Dashboard) -> dict[str, Any]:
    scope = "" if region == WORLD else f", {region}"
    return {
        "dashboard_title": f"{dashboard.title}{scope}",
        "description": dashboard.about,
        "css": "",
        "slug": dashboard.slug if region == WORLD else f"{region}-{dashboard.slug}",
        "certified_by": "",
        "certification_details": "",
        "published": True,
        "uuid": _id(region, dashboard.slug),
        "position": _position(region, dashboard),
        "metadata": {
            "native_filter_configuration": _filters(region, dashboard),
            "color_scheme": "supersetColors",
            "cross_filters_enabled": True,
            "refresh_frequency": 0,
            "timed_refresh_immune_slices": [],
            "expanded_slices": {},
        },
        "version": "1.0.0",
    }


def _position(region: str, dashboard: Dashboard) -> dict[str, Any]:
    rows = sorted({chart.row for chart in dashboard.chart} | {text.row for text in dashboard.text})
    position: dict[str, Any] = {
        "DASHBOARD_VERSION_KEY": "v2",
        "ROOT_ID": {"type": "ROOT", "id": "ROOT_ID", "children": ["GRID_ID"]},
        "GRID_ID": {
            "type": "GRID",
            "id": "GRID_ID",
            "children": [f"ROW-{row}" for row in rows],
            "parents": ["ROOT_ID"],
        },
        "HEADER_ID": {"type": "HEADER", "id": "HEADER_ID", "meta": {"text": dashboard.title}},
    }
    for row in rows:
        placed = [_placed(region, dashboard, chart) for chart in dashboard.chart if chart.row == row]
        placed += [_written(text) for text in dashboard.text if text.row == row]
        position[f"ROW-{row}"] = {
            "type": "ROW",
            "id": f"ROW-{row}",
            "children": [block["id"] for block in placed],
            "parents": ["ROOT_ID", "GRID_ID"],
            "meta": {"background": "BACKGROUND_TRANSPARENT"},
        }
        for block in placed:
            position[block["id"]] = {**block, "children": [], "parents": ["ROOT_ID", "GRID_ID", f"ROW-{row}"]}
    return position


def _placed(region: str, dashboard: Dashboard, chart: Chart) -> dict[str, Any]:
    of = _id(region, dashboard.slug, chart.title)
    shape = {"width": min(chart.width, COLUMNS), "height": chart.height}
    return {
        "type": "CHART",
        "id": f"CHART-{of}",
        "meta": {**shape, "uuid": of, "sliceName": chart.title, "chartId": 0},
    }


def _written(text: Text) -> dict[str, Any]:
    return {
        "type": "MARKDOWN",
        "id": f"MARKDOWN-{text.row}",
        "meta": {"width": COLUMNS, "height": text.height, "code": text.words},
    }


def _filters(region: str, dashboard: Dashboard) -> list[dict[str, Any]]:
    days = _filter("days", "Days", "filter_time", {}, {})
    return [days] + [
        _filter(
            column,
            column.removesuffix("_id").replace("_", " ").capitalize(),
            "filter_select",
            {"datasetUuid": _id(region, "mart", mart), "column": {"name": column}},
            {"multiSelect": True, "enableEmptyFilter": False, "defaultToFirstItem": False, "searchAllOptions": False},
        )
        for mart, _, column in (name.partition(".") for name in dashboard.filters)
    ]


def _filter(name: str, title: str, kind: str, target: dict[str, Any], control: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": f"NATIVE_FILTER-{name}",
        "name": title,
        "filterType": kind,
        "type": "NATIVE_FILTER",
        "targets": [target],
        "controlValues": control,
        "defaultDataMask": {"extraFormData": {}, "filterState": {}, "ownState": {}},
        "cascadeParentIds": [],
        "scope": {"rootPath": ["ROOT_ID"], "excluded": []},
        "description": "",
        "chartsInScope": [],
        "tabsInScope": [],
    }
