"""WorldWork on the world's real stores. Each call imports what it needs: definitions load without any of it."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from assets.work import StepReport
from contracts.settings import WorldSettings


class LakeWorldWork:
    """The world view's work on its real stores."""

    def __init__(self, settings: WorldSettings) -> None:
        self._settings = settings

    def away(self) -> str | None:
        """See Stores."""
        from lake.stores import away

        return away(self._settings)

    def due_loads(self) -> list[date]:
        """See WorldWork."""
        from release.world import due_loads

        return due_loads(self._settings)

    def load(self) -> StepReport:
        """See WorldWork."""
        from release.world import load_world

        return load_world(self._settings)

    def refused(self) -> int:
        """See WorldWork."""
        from release.world import refused_objects

        return refused_objects(self._settings)

    def late(self) -> Mapping[str, int]:
        """See WorldWork."""
        from release.world import late_releases

        return late_releases(self._settings)

    def due_marts(self) -> list[date]:
        """See WorldWork."""
        from release.world import due_marts

        return due_marts(self._settings)

    def known_days(self) -> list[date]:
        """See WorldWork."""
        from release.world import known_days

        return known_days(self._settings)

    def staged(self, days: Sequence[date]) -> Any:
        """See WorldWork."""
        from release.world import loaded_etags

        return loaded_etags(self._settings, days)

    def mark_marts(self, staged: Any) -> None:
        """See WorldWork."""
        from release.world import mark_marts

        mark_marts(self._settings, staged)

    def dbt_environment(self) -> Mapping[str, str]:
        """See WorldWork."""
        from marts.dbt import dbt_environment

        return dbt_environment(self._settings)

    def mart_rows(self, mart: str, days: Sequence[date]) -> Mapping[date, int]:
        """See WorldWork."""
        from marts.rows import mart_rows

        return mart_rows(self._settings.postgres_dsn.get_secret_value(), mart, days)
