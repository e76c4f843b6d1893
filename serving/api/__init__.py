"""The paths of `/v1`, a file a subject."""
