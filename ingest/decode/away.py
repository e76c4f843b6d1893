"""Devices whose home is another region: their records are set aside, not landed."""

from collections.abc import Collection

import numpy as np
import pyarrow as pa

from contracts.residency import away_hash

REMEMBERED = 200_000
"""Devices whose answer is kept: a device costs one hash, not one a batch."""


class AwayDevices:
    """The devices that the registry says are at home elsewhere, as keyed hashes.

    `replace` may be called while another thread decodes: a batch is told apart by the one list or by the other.
    """

    def __init__(self, key: bytes) -> None:
        """key: of contracts.residency.away_key."""
        self._key = key
        self._listed: tuple[frozenset[bytes], dict[str, bool]] = (frozenset(), {})

    def replace(self, hashes: Collection[bytes]) -> None:
        """Take this list from now on."""
        if frozenset(hashes) != self._listed[0]:
            self._listed = (frozenset(hashes), {})

    def at_home(self, device_ids: pa.StringArray) -> np.ndarray:
        """Which rows are of devices that are at home here. With an empty list nothing is looked up."""
        hashes, answers = self._listed
        if not hashes:
            return np.ones(len(device_ids), bool)
        coded = device_ids.dictionary_encode()
        names = coded.dictionary.to_pylist()
        if len(answers) + len(names) > REMEMBERED:
            answers.clear()
        for name in names:
            if name not in answers:
                answers[name] = away_hash(self._key, name) not in hashes
        found = np.fromiter((answers[name] for name in names), bool, len(names))
        kept: np.ndarray = found[coded.indices.to_numpy()]
        return kept
