"""Releases: the aggregates that may leave a region, and the policy that they pass."""

from release.publish import ReleaseReport, due_releases, publish_day

__all__ = ["ReleaseReport", "due_releases", "publish_day"]
