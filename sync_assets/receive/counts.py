"""What the receiver did, in numbers: for /health, and once a minute for the log. Never a body, a secret or a path."""

from __future__ import annotations

from collections import Counter

ACCEPTED = "accepted"
"""Deliveries that were answered for. Every other outcome is a refusal and its reason."""
EVENTS = "events"

UNKNOWN = "unknown address"
FORGED = "not authentic"
TOO_LARGE = "too large"
TOO_SLOW = "too slow"
NO_ROOM = "no room"
BROKEN = "not HTTP"
FAILED = "our failure"

STRANGER = "-"
"""In the place of an endpoint, where the caller found none."""


class Counts:
    """Deliveries by endpoint and outcome since the start. Touched by the event loop alone."""

    def __init__(self) -> None:
        self._total: Counter[tuple[str, str]] = Counter()
        self._told: Counter[tuple[str, str]] = Counter()

    def add(self, endpoint: str, outcome: str, number: int = 1) -> None:
        self._total[endpoint, outcome] += number

    def by_endpoint(self) -> dict[str, dict[str, int]]:
        found: dict[str, dict[str, int]] = {}
        for (endpoint, outcome), number in sorted(self._total.items()):
            found.setdefault(endpoint, {})[outcome] = number
        return found

    def news(self) -> str:
        """What came since this was last asked; empty where nothing did."""
        new, self._told = self._total - self._told, self._total.copy()
        return "; ".join(f"{endpoint}: {number} {outcome}" for (endpoint, outcome), number in sorted(new.items()))
