"""Makes the machine code, so that no consumer starts by making it: `python -m ingest.compiled`."""

from ingest.decode.plain import compile_reader as compile_records
from ingest.kinesis.answer import compile_reader as compile_answers

if __name__ == "__main__":
    compile_records()
    compile_answers()
