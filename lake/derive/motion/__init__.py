"""Motion: a device's readings become moments, the moments' positions are cleaned, and trips and device days are cut.

The rules are functions of arrays, compiled by numba; only `spark` knows where the rows come from.
"""
