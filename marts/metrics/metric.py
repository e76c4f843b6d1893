"""One metric: what it means, in which unit, and how it is computed of a mart's rows."""

import msgspec

UNITS: tuple[str, ...] = (
    *("ratio", "h", "min", "km", "km/h", "l", "l/100 km"),
    *("trips", "events", "faults", "services", "devices", "device days", "records", "cells"),
)
"""The units that a metric may have. A ratio is from 0 to 1; dashboards show it as a percentage."""


class Metric(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A row of region.toml or world.toml. `numerator` and `denominator` are SQL aggregates over one mart."""

    name: str
    label: str
    meaning: str
    unit: str
    mart: str
    numerator: str
    source: str
    """Where the definition is from: a standard of the field, or a page of docs/."""
    denominator: str | None = None

    @property
    def expression(self) -> str:
        """SQL of the value, over rows grouped as one likes: both parts are summed before they are divided."""
        if self.denominator is None:
            return self.numerator
        return f"({self.numerator})::double precision / nullif({self.denominator}, 0)"

    @property
    def sql(self) -> str:
        """The query that answers with the value over the whole mart."""
        return f"select {self.expression} as {self.name} from marts.{self.mart}"  # noqa: S608
