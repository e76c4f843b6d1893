"""Update and condition expressions of DynamoDB, put together from the attributes that they touch."""

from typing import Any

from contracts.ledger import LeaseRow

Value = str | int | float | bool


class Change:
    """A conditional update of one item. Attributes are named by substitution tokens, as many names are reserved."""

    def __init__(self) -> None:
        self._conditions: list[str] = []
        self._sets: list[str] = []
        self._adds: list[str] = []
        self._drops: list[str] = []
        self._names: dict[str, str] = {}
        self._values: dict[str, dict[str, Any]] = {}

    def when(self, name: str, value: Value) -> "Change":
        """Only if the attribute has this value."""
        self._conditions.append(f"{self._name(name)} = {self._value(value)}")
        return self

    def below(self, name: str, value: Value) -> "Change":
        """Only if the attribute is smaller."""
        self._conditions.append(f"{self._name(name)} < {self._value(value)}")
        return self

    def at_most(self, name: str, value: Value) -> "Change":
        """Only if the attribute is not greater."""
        self._conditions.append(f"{self._name(name)} <= {self._value(value)}")
        return self

    def present(self, name: str) -> "Change":
        """Only if there is such an attribute."""
        self._conditions.append(f"attribute_exists({self._name(name)})")
        return self

    def absent(self, name: str) -> "Change":
        """Only if there is no such attribute."""
        self._conditions.append(f"attribute_not_exists({self._name(name)})")
        return self

    def put(self, name: str, value: Value) -> "Change":
        """Set the attribute."""
        self._sets.append(f"{self._name(name)} = {self._value(value)}")
        return self

    def add(self, name: str, value: int) -> "Change":
        """Add to the attribute."""
        self._adds.append(f"{self._name(name)} {self._value(value)}")
        return self

    def drop(self, name: str) -> "Change":
        """Remove the attribute."""
        self._drops.append(self._name(name))
        return self

    def condition(self) -> dict[str, Any]:
        """The condition alone, as parameters of a request."""
        request: dict[str, Any] = {"ExpressionAttributeNames": self._names}
        if self._values:
            request["ExpressionAttributeValues"] = self._values
        if self._conditions:
            request["ConditionExpression"] = " AND ".join(self._conditions)
        return request

    def request(self) -> dict[str, Any]:
        """Update and condition, as parameters of a request."""
        clauses = (("SET", self._sets), ("ADD", self._adds), ("REMOVE", self._drops))
        update = " ".join(f"{verb} {', '.join(parts)}" for verb, parts in clauses if parts)
        return {**self.condition(), "UpdateExpression": update}

    def _name(self, name: str) -> str:
        self._names[f"#{name}"] = name
        return f"#{name}"

    def _value(self, value: Value) -> str:
        token = f":v{len(self._values)}"
        if isinstance(value, bool):
            self._values[token] = {"BOOL": value}
        elif isinstance(value, str):
            self._values[token] = {"S": value}
        else:
            self._values[token] = {"N": repr(value)}
        return token


def held_by(lease: LeaseRow) -> Change:
    """A change that only the holder of this lease's fence may make."""
    return Change().when("owner", lease.owner or "").when("fence", lease.fence).when("ended", False)


def commit_of(lease: LeaseRow, after: LeaseRow) -> Change:
    """The lease's part of a commit: position and watermark move from `lease` to `after`, never back."""
    change = held_by(lease).when("position", lease.position).add("heartbeat", 1)
    change.put("position", after.position).put("suppression_version", after.suppression_version)
    change.at_most("watermark_ms", after.watermark_ms).put("watermark_ms", after.watermark_ms)
    change.put("lost", after.lost)
    if after.ended:
        change.put("ended", True).put("live_seq", lease.live_seq).drop("owner").drop("wanted_by")
    return change
