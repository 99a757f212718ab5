"""Access tokens that end: what a dialect tells about renewing them, and what is asked of whoever keeps them.

A refresh token is good for one use. So the pair that answers it is committed before it is used for anything, under a
lock that all processes share; where that answer is lost, only a person can authorise again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from sync_assets.extract.dialect import Answer, Outgoing


@dataclass(frozen=True)
class Pair:
    """What a renewal answers; the lives in seconds from when it was asked for, None where nothing is known."""

    access: str = field(repr=False)
    refresh: str = field(repr=False)
    lasts: float
    refresh_lasts: float | None = None


Renew = Callable[[str], Pair]
"""Uses a refresh token up. Raises BadCredentials where the source refuses it, RetryLater where it did not answer."""


class OAuth(Protocol):
    """How the access tokens of one account are renewed: a dialect's part of it."""

    seed: str
    """The refresh token that a person gave; the one to begin with, and of no use after that."""

    secret: str
    """The client secret; what is stored can be read by whoever has it."""

    audience: str
    """Whom the tokens are for, host and integration: tokens of another audience are never sent there."""

    authorise: str
    """What a person does to get a new refresh token, as a next step."""

    def renewal(self, refresh: str) -> Outgoing:
        """The request for a new pair."""

    def check(self, answer: Answer) -> None:
        """Raises what a refusal to renew means; AuthorisationLost where the refresh token is dead."""

    def pair(self, answer: Answer) -> Pair:
        """Raises SourceUnavailable where a good answer holds no pair."""

    def signed(self, out: Outgoing, access: str) -> Outgoing:
        """A request, with the access token where this API wants it."""

    def ended(self, answer: Answer) -> bool:
        """Whether a request was refused for its access token."""
        return answer.status == 401


class TokenStore(Protocol):
    """Keeps an account's pair for all its processes."""

    oauth: OAuth

    def access(self, renew: Renew, *, refused: str | None = None) -> str:
        """A token that is good for a while, renewed where it is not; another one than the `refused`.

        Raises AuthorisationLost where a person must authorise again, and what `renew` raises.
        """
