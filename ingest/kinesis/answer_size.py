"""How many records to ask a shard for, learned from what it gives: Kinesis cuts answers at 10 MB, emulators do not."""

from ingest.kinesis.protocol import AnswerTooLarge, Records, StreamUnavailable

MOST_RECORDS = 10_000
"""The largest Limit that GetRecords takes."""
WANTED_BYTES = 5_000_000
"""Of an answer, by the mean size of its records: half of what Kinesis gives at most, as sizes vary."""
_AT_FIRST = 2_000
_FORGETS = 0.8
"""After small records the limit grows by a quarter an answer."""
_SMALLER = 8


class AnswerSize:
    """The Limit of one shard's next read.

    Promise: an answer is as large as WANTED_BYTES in the mean. One that is too large to be taken in is asked for again
    with fewer records, down to a single one.
    """

    def __init__(self) -> None:
        self.limit = _AT_FIRST
        self._record_bytes = 0.0

    def learn(self, answer: Records) -> None:
        """Note what records of this shard weigh."""
        if not answer.records:
            return
        weighed = answer.bytes_read / len(answer.records)
        self._record_bytes = max(1.0, weighed, self._record_bytes * _FORGETS)
        self.limit = max(1, min(MOST_RECORDS, int(WANTED_BYTES / self._record_bytes)))

    def shrink(self, error: AnswerTooLarge) -> None:
        """Ask for fewer. Raises StreamUnavailable where a single record was too much."""
        if self.limit == 1:
            raise StreamUnavailable(f"asked for one record, {error}") from error
        self.limit = max(1, self.limit // _SMALLER)
        self._record_bytes = max(self._record_bytes, WANTED_BYTES / self.limit)
