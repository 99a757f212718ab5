"""Questions that go along with an earlier one, for the APIs that answer several in one request.

The read that asks knows how; who takes the answers need not know that they came early.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sync_assets.entity import Requested


@dataclass
class Along:
    """What a look at records will be followed by, for the APIs that answer several questions in one request."""

    reads: Sequence[Requested] = ()
    """The reads that come next, for what belongs to these records."""
    answers: dict[str, Any] = field(default_factory=dict)
    """What was answered for them ahead of time, by the question; each is taken once."""

    def taken(self, questions: Sequence[str]) -> list[Any] | None:
        """The answers, or None where one of them is missing."""
        if not all(question in self.answers for question in questions):
            return None
        return [self.answers.pop(question) for question in questions]
