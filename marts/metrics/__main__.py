"""Prints the reference page of the metrics."""

import sys

from marts.metrics.page import reference_page

sys.stdout.write(reference_page())
