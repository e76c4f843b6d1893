"""A stack of their own: reconciliation counts all that a region holds, so nothing else may write to it."""

from tests.builders.scene_fixtures import empty_region, one_region, own_stack, scene

__all__ = ["empty_region", "one_region", "own_stack", "scene"]
