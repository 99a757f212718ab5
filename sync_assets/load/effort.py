"""What a sync cost, as it is kept beside its counts: what its time went into, and what its API's limit allowed."""

from __future__ import annotations

from dataclasses import astuple, dataclass


@dataclass(frozen=True)
class Effort:
    """Seconds are of the wall and overlap one another, but for `throttled_seconds`, which adds up every request's."""

    requests: int = 0
    throttled_seconds: float = 0.0
    asking_seconds: float = 0.0  # with at least one request under way
    paced_seconds: float = 0.0  # with at least one request waiting for its turn below the rate limit
    paused_seconds: float = 0.0  # with at least one request waiting because the source asked to wait
    storing_seconds: float = 0.0  # with a transaction open
    floor_seconds: float = 0.0  # what these requests take at the rate limit, whatever else
    bucket: str | None = None  # the limit that makes the floor
    rate: float | None = None  # its requests per second

    @property
    def values(self) -> tuple[object, ...]:
        """In this order, as columns of sync.logs of the same names."""
        return tuple(round(value, 3) if isinstance(value, float) else value for value in astuple(self))
