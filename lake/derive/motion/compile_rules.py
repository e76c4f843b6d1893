"""Compiles the rules of motion, so that no derivation does: `python -m lake.derive.motion.compile_rules`.

With --generic for any processor of this architecture, for a package or an image that runs on several kinds.
"""

import os
import sys


def compile_rules() -> None:
    """Derive one record, which compiles every rule for arrays of the types that derivations have."""
    # numba reads its environment when it is imported.
    import pyarrow as pa

    from contracts.record import LANDING_SCHEMA
    from lake.derive.motion.device_days import derive_table
    from lake.derive.motion.readings import READ
    from lake.derive.motion.rules import TripRules

    columns = [LANDING_SCHEMA.field(name).with_nullable(True) for name in READ]
    record = {"device_id": "a", "ts": 0, "record_id": "a", "arrival_ts": 0, "flags": 0}
    rules = TripRules(stop_s=300, gap_s=3600, moving_kmh=3.0, time_zone="UTC")
    derive_table(pa.Table.from_pylist([record], schema=pa.schema(columns)), rules)


if __name__ == "__main__":
    if "--generic" in sys.argv[1:]:
        os.environ["NUMBA_CPU_NAME"] = "generic"
    compile_rules()
