"""Compiles the readers ahead of time, so that no consumer compiles at its start: `python -m ingest.compile_readers`.

With --generic for any processor of this architecture, for an image that runs on several kinds.
"""

import os
import sys


def compile_readers() -> None:
    """Compile both readers, or load them."""
    # numba reads its environment when it is imported.
    from ingest.decode.plain import compile_reader as compile_records
    from ingest.kinesis.packed import compile_reader as compile_responses

    compile_records()
    compile_responses()


if __name__ == "__main__":
    if "--generic" in sys.argv[1:]:
        os.environ["NUMBA_CPU_NAME"] = "generic"
    compile_readers()
