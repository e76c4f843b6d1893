"""Devices whose home is another region: their records are set aside, not landed."""

from collections.abc import Collection, Sequence

import numpy as np

from ingest.decode.suppression import HashedSuppression


class AwayDevices:
    """The devices that the registry says are at home elsewhere, as keyed hashes; as `Suppression` it tells them apart.

    `replace` may be called while another thread decodes: a batch is decoded by the one list or by the other.
    """

    def __init__(self, key: bytes) -> None:
        """key: of contracts.residency.away_key."""
        self._key = key
        self._list = HashedSuppression(key, (), 0)
        self._hashes: frozenset[bytes] = frozenset()

    @property
    def version(self) -> int:
        """0 while no device is on the list: then none is looked up."""
        return self._list.version

    def matches(self, device_ids: Sequence[str]) -> np.ndarray:
        """Which of these devices are at home elsewhere."""
        return self._list.matches(device_ids)

    def replace(self, hashes: Collection[bytes]) -> None:
        """Take this list from now on."""
        if frozenset(hashes) != self._hashes:
            self._hashes = frozenset(hashes)
            self._list = HashedSuppression(self._key, self._hashes, len(self._hashes))
