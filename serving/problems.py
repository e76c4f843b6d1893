"""What a request can be refused for: each kind is one problem of RFC 9457."""

from typing import ClassVar


class Problem(Exception):
    """A request that is not answered. `detail` says what to do; it never names what the caller may not see."""

    status: ClassVar[int] = 500
    kind: ClassVar[str] = "internal"
    title: ClassVar[str] = "The service failed"

    def __init__(self, detail: str, retry_after_s: float | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.retry_after_s = retry_after_s


class BadRequest(Problem):
    """A parameter is missing or cannot be."""

    status, kind, title = 400, "bad-request", "The request cannot be answered as it is"


class NotAuthenticated(Problem):
    """No token, or one that is not believed."""

    status, kind, title = 401, "not-authenticated", "A valid token is needed"


class Forbidden(Problem):
    """The token's role or region does not go so far."""

    status, kind, title = 403, "forbidden", "The token does not allow this"


class NotFound(Problem):
    """There is none, or it is another fleet's: the two are answered alike."""

    status, kind, title = 404, "not-found", "There is no such thing"


class TooMuch(Problem):
    """The answer would be larger than the service gives."""

    status, kind, title = 422, "too-much", "The answer would be too large"


class TooMany(Problem):
    """Too many requests, or streams."""

    status, kind, title = 429, "too-many-requests", "Too many requests"


class StoreAway(Problem):
    """A store that the answer needs is away."""

    status, kind, title = 503, "store-unavailable", "A store does not answer"
