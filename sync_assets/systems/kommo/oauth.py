"""Kommo's OAuth: access tokens of a day, refresh tokens of three months that are good for one use."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import msgspec

from sync_assets.errors import AuthorisationLost, BadCredentials, SourceUnavailable
from sync_assets.extract.dialect import Answer, Outgoing
from sync_assets.extract.oauth import OAuth, Pair

REFRESH_DAYS = 90
"""Documented as three months; no answer tells."""

DEAD = ("revoked", "expired", "decrypt", "invalid_grant", "refresh token")
"""What a refusal says of a refresh token that no repetition and no other setting brings back."""


class _Problem(msgspec.Struct):
    hint: str = ""
    error: str = ""
    detail: str = ""
    title: str = ""


class _Granted(msgspec.Struct):
    access_token: str
    refresh_token: str
    expires_in: float


class _Claims(msgspec.Struct):
    exp: int


class KommoOAuth(OAuth):
    authorise = (
        "authorise again: Kommo, Settings, Integrations, the integration, Keys and scopes, copy the authorization code,"
        " exchange it within 20 minutes as .env.example shows, and set KOMMO_REFRESH_TOKEN to the token that it answers"
    )

    def __init__(
        self,
        base_url: str,
        *,
        client_id: str,
        client_secret: str,
        redirect_uri: str,
        seed: str,
        check: Callable[[Answer], None],
    ) -> None:
        """`check` raises what refusals mean that have nothing to do with tokens."""
        self.seed = seed
        self.secret = client_secret
        self.audience = f"{base_url} {client_id}"
        self._url = f"{base_url}/oauth2/access_token"
        self._client = {"client_id": client_id, "client_secret": client_secret, "redirect_uri": redirect_uri}
        self._check = check

    def renewal(self, refresh: str) -> Outgoing:
        body = {**self._client, "grant_type": "refresh_token", "refresh_token": refresh}
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        return Outgoing("POST", self._url, headers, json.dumps(body).encode())

    def check(self, answer: Answer) -> None:
        if answer.status not in (400, 401):
            self._check(answer)
            return
        try:
            problem = msgspec.json.decode(answer.body, type=_Problem)
        except (msgspec.DecodeError, RecursionError):
            problem = _Problem()
        said = f"{answer.status} {(problem.hint or problem.error or problem.detail or problem.title)[:80]}".strip()
        words = " ".join((problem.hint, problem.error, problem.detail, problem.title)).lower()
        if any(word in words for word in DEAD):
            raise AuthorisationLost(
                f"Kommo refuses the refresh token ({said}): it was used before, its answer was lost, or it was revoked",
                next_step=self.authorise,
            )
        raise BadCredentials(
            f"Kommo does not renew the access token ({said})",
            next_step="check KOMMO_BASE_URL, KOMMO_CLIENT_ID, KOMMO_CLIENT_SECRET and KOMMO_REDIRECT_URI; if they are"
            f" right, {self.authorise}",
        )

    def pair(self, answer: Answer) -> Pair:
        try:
            granted = msgspec.json.decode(answer.body, type=_Granted)
        except (msgspec.DecodeError, RecursionError):
            granted = _Granted("", "", 0)
        if not (granted.access_token and granted.refresh_token and granted.expires_in > 0):
            raise SourceUnavailable(f"the answer holds no new tokens ({answer.status}, {len(answer.body)} bytes)")
        return Pair(granted.access_token, granted.refresh_token, granted.expires_in, REFRESH_DAYS * 86_400.0)

    def signed(self, out: Outgoing, access: str) -> Outgoing:
        return replace(out, headers={**out.headers, "Authorization": f"Bearer {access}"})


def ends_at(token: str) -> datetime | None:
    """When a long-lived token, a JWT, says that it ends; None for any other text."""
    _, _, rest = token.partition(".")
    claims = rest.partition(".")[0]
    try:
        decoded = base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4))
        return datetime.fromtimestamp(msgspec.json.decode(decoded, type=_Claims).exp, UTC)
    except (msgspec.DecodeError, ValueError, OverflowError, OSError):
        return None
