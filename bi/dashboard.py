"""Dashboards as files: what each shows, of which marts and metrics. `bundle` makes Superset's files of them."""

from pathlib import Path
from typing import Literal

import msgspec

from contracts.errors import BadSettings
from contracts.regions import WORLD
from marts.metrics import Metric, metrics_of

FOLDER: Path = Path(__file__).parent / "dashboards"
COLUMNS = 12
"""Width of a dashboard."""

Kind = Literal["number", "line", "bar", "table", "rows"]


class Chart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One chart: metrics of one mart, by some of its columns."""

    title: str
    kind: Kind
    """number: one value; line and bar: over `x`; table: metrics by columns; rows: columns of the mart as they are."""
    mart: str
    metrics: tuple[str, ...] = ()
    by: tuple[str, ...] = ()
    x: str = "day"
    where: str = ""
    """SQL that limits the mart's rows."""
    order: tuple[str, ...] = ()
    """Columns that rows are sorted by, those with a - before them descending."""
    row: int
    width: int
    height: int = 50
    limit: int = 1000
    stacked: bool = False
    note: str = ""


class Text(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a reader has to know of the figures beside it, as wide as the dashboard."""

    words: str
    """Markdown."""
    row: int
    height: int = 10


class Dashboard(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One file of bi/dashboards."""

    title: str
    slug: str
    scope: Literal["region", "world"]
    about: str
    filters: tuple[str, ...] = ()
    """Columns that the reader may choose values of, as MART.COLUMN; each also limits other marts that have it."""
    chart: tuple[Chart, ...]
    text: tuple[Text, ...] = ()


def dashboards() -> list[Dashboard]:
    """Every dashboard, in the order of their files. Raises BadSettings where one is not what it may be."""
    return [read_dashboard(path) for path in sorted(FOLDER.glob("*.toml"))]


def read_dashboard(path: Path) -> Dashboard:
    """One dashboard. Raises BadSettings where it cannot be read, names no metric of its mart or has too wide a row."""
    try:
        dashboard = msgspec.toml.decode(path.read_bytes(), type=Dashboard)
    except (OSError, msgspec.DecodeError) as error:
        raise BadSettings(f"{path}: {error}") from None
    known = {metric.name: metric for metric in metrics_of(WORLD if dashboard.scope == WORLD else "")}
    for chart in dashboard.chart:
        _check_metrics(path, chart, known)
    for row in {chart.row for chart in dashboard.chart}:
        width = sum(chart.width for chart in dashboard.chart if chart.row == row)
        if width != COLUMNS:
            raise BadSettings(f"{path}: row {row} is {width} wide; make it {COLUMNS}")
    rows = [text.row for text in dashboard.text]
    if len({*rows} - {chart.row for chart in dashboard.chart}) < len(rows):
        raise BadSettings(f"{path}: a text needs a row of its own")
    return dashboard


def _check_metrics(path: Path, chart: Chart, known: dict[str, Metric]) -> None:
    for name in chart.metrics:
        if name not in known:
            raise BadSettings(f"{path}: {chart.title}: no metric {name!r}; marts/metrics has {', '.join(known)}")
        if known[name].mart != chart.mart:
            raise BadSettings(f"{path}: {chart.title}: metric {name} is of {known[name].mart}, not of {chart.mart}")
    if chart.kind != "rows" and not chart.metrics:
        raise BadSettings(f"{path}: {chart.title}: a {chart.kind} needs metrics")
    if chart.kind == "rows" and not chart.by:
        raise BadSettings(f"{path}: {chart.title}: rows need the columns to show, in `by`")
