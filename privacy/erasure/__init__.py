"""Erasure: the suppression list, the steps of a request, and their evidence."""
