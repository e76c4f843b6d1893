"""Dagster assets: factories by stage, one set a region. Each asset is a thin call into lake, dbt or a loader."""

import warnings

from dagster import BetaWarning

# Single-run backfills and mappings onto days that are not yet there are beta in Dagster, and used on purpose.
warnings.filterwarnings("ignore", category=BetaWarning)
