"""docs/reference/metrics.md: `python -m marts.metrics > docs/reference/metrics.md`."""

from collections.abc import Iterable

from contracts.regions import WORLD
from marts.metrics.metric import Metric
from marts.metrics.table import metrics_of

_HEAD = """# Metrics

Printed by `python -m marts.metrics` from `marts/metrics/region.toml` and `world.toml`, the one place where metrics are
defined: the dashboards of `fleetlake bi` and the tests read the same files. A metric is an SQL aggregate over one mart.
Group it by any columns of the mart; numerator and denominator are summed before they are divided, never averaged. A
ratio is from 0 to 1. `select numerator / nullif(denominator, 0) from marts.MART` is its value.
"""

_COLUMNS = "| metric | meaning | unit | mart | numerator | denominator | source |"


def reference_page() -> str:
    """The page, in Markdown."""
    return "\n".join(
        [_HEAD, "## Of a region", "", *_table(metrics_of("")), "", "## Of world", "", *_table(metrics_of(WORLD)), ""]
    )


def _table(metrics: Iterable[Metric]) -> list[str]:
    rows = [
        f"| `{one.name}` | {one.meaning} | {one.unit} | `{one.mart}` | `{one.numerator}` | "
        f"{f'`{one.denominator}`' if one.denominator else ''} | {one.source} |"
        for one in metrics
    ]
    return [
        "| metric | meaning | unit | mart | numerator | denominator | source |",
        "|---|---|---|---|---|---|---|",
        *rows,
    ]
