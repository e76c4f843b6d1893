"""Metrics over the marts, each defined once: the reference page, the dashboards and the tests read them from here."""

from marts.metrics.metric import UNITS, Metric
from marts.metrics.page import reference_page
from marts.metrics.table import metrics_of

__all__ = ["UNITS", "Metric", "metrics_of", "reference_page"]
