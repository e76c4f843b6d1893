"""The module that every code server loads: its definitions are those of the region that its environment names."""

import os

from orchestration.definitions import definitions

defs = definitions(os.environ.get("FLEETLAKE_REGION"))
