"""Reconciliation: every stage counted from its own store, and every place named where two of them disagree."""

from reconcile.losses import accept
from reconcile.model import Reconciliation
from reconcile.reconcile import reconcile

__all__ = ["Reconciliation", "accept", "reconcile"]
