"""What a merge writes into its snapshot: atomic with the commit, so that a crash after it forgets nothing."""

import base64
import zlib
from collections.abc import Mapping, Sequence

from lake.merge.plan import Kind

KIND = "fleetlake.merge"
OBJECTS = "fleetlake.objects"
_SHARED = "landing/telemetry/"


def merge_properties(kind: Kind, keys: Sequence[str]) -> dict[str, str]:
    """Snapshot properties of a merge of these landing objects; keys are packed, some 30 bytes each."""
    text = "\n".join(key.removeprefix(_SHARED) for key in keys)
    return {KIND: kind.value, OBJECTS: base64.b64encode(zlib.compress(text.encode(), 9)).decode()}


def merged_objects(properties: Mapping[str, str]) -> tuple[Kind, list[str]] | None:
    """Kind and object keys that a snapshot's properties name; None where it is no merge."""
    if KIND not in properties:
        return None
    text = zlib.decompress(base64.b64decode(properties[OBJECTS])).decode()
    return Kind(properties[KIND]), [_SHARED + key for key in text.split("\n")]
