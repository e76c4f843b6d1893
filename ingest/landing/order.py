"""The order of rows in an object: by device, then event time, then as they came."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ingest.ordering import places_by


def sorted_places(device_ids: pa.StringArray, ts_ms: np.ndarray) -> np.ndarray:
    """Places of rows by (device_id as bytes, ts, place)."""
    return places_by(_ranks(device_ids), ts_ms)


def _ranks(texts: pa.StringArray) -> np.ndarray:
    """Each text's rank among the distinct ones, as int64."""
    coded = texts.dictionary_encode()
    by_text = pc.array_sort_indices(coded.dictionary).to_numpy()
    rank = np.empty(len(by_text), np.int64)
    rank[by_text] = np.arange(len(by_text))
    ranks: np.ndarray = rank[coded.indices.to_numpy()]
    return ranks
