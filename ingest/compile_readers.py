"""Compiles the readers ahead of time, so that no consumer compiles at its start: `python -m ingest.compile_readers`."""

from ingest.decode.plain import compile_reader as compile_records
from ingest.kinesis.response import compile_reader as compile_responses

if __name__ == "__main__":
    compile_records()
    compile_responses()
