"""HubSpot's dialect: bearer token, JSON envelopes, four kinds of 429, and limits told in the headers of each answer.

A 429 is told by its policy, not by its words; the daily quota belongs to all private apps of the account, so some of it
is left to the others.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import ClassVar, Literal
from urllib.parse import quote_plus
from zoneinfo import ZoneInfo

import msgspec
from pydantic import Field, SecretStr, field_validator

from sync_assets.addresses import safe_url
from sync_assets.entity import Params
from sync_assets.errors import AddressTooLong, BadCredentials, CallVendor, Forbidden, WrongShape
from sync_assets.extract.dialect import Answer, Api, Outgoing, Pause, check_status, retry_after
from sync_assets.extract.http import Door
from sync_assets.settings import AccountSettings

TEN_SECONDS, A_SECOND, LOCKED, AN_HOUR = 10.0, 1.0, 2.0, 3600.0
"""How long each kind of refusal lasts; no Retry-After was ever seen with a 429."""


class HubSpotSettings(AccountSettings):
    where: ClassVar[Mapping[str, str]] = {
        "access_token": "HubSpot: Settings, Integrations, Private Apps, the app's access token (pat-...)",
    }

    address: ClassVar[str] = "api_url"
    sent_there: ClassVar[tuple[str, ...]] = ("access_token",)
    former: ClassVar[Mapping[str, str]] = {
        "HUBSPOT_API_KEY": "access_token",
        "HUBSPOT_TOKEN": "access_token",
        "HUBSPOT_PRIVATE_APP_TOKEN": "access_token",
    }

    access_token: SecretStr
    api_url: str = "https://api.hubapi.com"
    daily_reserve: float = Field(10.0, ge=0, le=90)
    """Percent of the account's daily calls that are left to its other apps."""
    list_cursors: int = Field(4, ge=1, le=4)
    """Cursors that read one long list at once; 1 leaves a list to one cursor."""
    phone_region: str = "US"
    """The country of phone numbers that are written without a country code: US, RU, KZ, ..."""
    webhook_secret: SecretStr = SecretStr("")
    """The private app's client secret, which signs its webhooks; without it there is no address for them."""
    webhook_v1: Literal["no", "yes"] = "no"
    """Whether a signature of the older versions, which bear no time, is enough where there is none of version 3."""

    @field_validator("api_url")
    @classmethod
    def _address(cls, value: str) -> str:
        return safe_url(value, setting="HUBSPOT_API_URL")

    @field_validator("phone_region")
    @classmethod
    def _region(cls, value: str) -> str:
        if value == "US":
            return value  # the default costs no tenth of a second for the import
        import phonenumbers

        if value.upper() not in phonenumbers.SUPPORTED_REGIONS:
            raise ValueError("no country code of two letters, such as US or RU")
        return value.upper()


class _Context(msgspec.Struct, rename="camel"):
    required_granular_scopes: list[str] = []


class _Reason(msgspec.Struct):
    context: _Context = msgspec.field(default_factory=_Context)


class _Refusal(msgspec.Struct, rename="camel"):
    message: str = ""
    category: str = ""
    policy_name: str = ""
    errors: list[_Reason] = []


class _Account(msgspec.Struct, rename="camel"):
    time_zone: str


class _Token(msgspec.Struct):
    scopes: list[str]


class HubSpotApi(Api):
    at = "results"

    def __init__(self, settings: HubSpotSettings) -> None:
        self._base = settings.api_url
        self._reserve = settings.daily_reserve / 100
        self._zone: ZoneInfo | None = None
        self._headers = {
            "Authorization": f"Bearer {settings.access_token.get_secret_value()}",
            "Accept": "application/json",
        }

    def outgoing(self, path: str, params: Params) -> Outgoing:
        query = "&".join(f"{_spelled(name)}={_spelled(str(value))}" for name, value in params.items())
        return Outgoing("GET", f"{self._base}{path}{'?' if query else ''}{query}", self._headers)

    def bucket(self, path: str) -> str:
        if path.endswith("/search"):
            return "search"
        return "associations" if "/associations/" in path else "burst"

    def opened(self, answer: Answer) -> None:
        """The day of the quota ends at midnight of the account's own time zone."""
        try:
            self._zone = ZoneInfo(msgspec.json.decode(answer.body, type=_Account).time_zone)
        except (msgspec.DecodeError, KeyError, ValueError, OSError):
            self._zone = None

    def rates(self, bucket: str, answer: Answer) -> Mapping[str, float]:
        most, interval = _number(answer, "max"), _number(answer, "interval-milliseconds")
        if bucket == "search" or most is None or not interval:
            return {}
        return {bucket: most / interval * 1000}

    def spent(self, answer: Answer) -> Pause | None:
        most, left = _number(answer, "daily"), _number(answer, "daily-remaining")
        if most is None or left is None or left > most * self._reserve:
            return None
        what = f"{left:.0f} of the account's {most:.0f} daily calls are left, which its other apps may need"
        return Pause(self._until_midnight(), what, reach="account")

    def check(self, answer: Answer) -> None:
        status = answer.status
        if status in (200, 201, 207):
            return
        refusal = _refusal(answer)
        if status == 429:
            raise self._throttled(refusal, retry_after(answer.headers, time.time()))
        if status == 423:
            raise Pause(LOCKED, "the record is locked")
        if status == 477:
            told = retry_after(answer.headers, time.time())
            raise Pause(60.0 if told is None else told, "the account is being moved", reach="account")
        if status == 530:
            raise BadCredentials("the source refuses the token (530)", next_step="issue a new token and set it")
        if status == 403:
            missing = [scope for reason in refusal.errors for scope in reason.context.required_granular_scopes]
            if missing:
                raise Forbidden(
                    f"the token lacks the scope {', '.join(sorted(set(missing)))}",
                    next_step="add it in HubSpot: Settings, Integrations, Private Apps, Scopes",
                )
        if status == 414:
            raise AddressTooLong()
        if status in (525, 526):
            raise CallVendor(f"the source's own front cannot trust what is behind it ({status})")
        if status == 400:
            raise WrongShape(f"the source refuses the request (400 {refusal.category[:40]})")
        check_status(answer)

    def gone(self, answer: Answer) -> str | None:
        return f"asked for by id: {answer.status}" if answer.status in (404, 410) else None

    def _throttled(self, refusal: _Refusal, told: float | None) -> Pause:
        words = f"{refusal.policy_name} {refusal.message}".lower()
        if "daily" in words:
            return Pause(self._until_midnight(), "the account's daily quota is used up", reach="account")
        return Pause(told or (TEN_SECONDS if "ten_secondly" in words else A_SECOND), "the rate limit is reached")

    def _until_midnight(self) -> float:
        if self._zone is None:
            return AN_HOUR  # nobody has told yet where it is midnight
        now = datetime.now(UTC).astimezone(self._zone)
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
        return max(1.0, midnight.timestamp() - now.timestamp())


def scopes(door: Door, settings: HubSpotSettings) -> str | None:
    """A fingerprint of the private app's scopes; None for a token that cannot be asked about."""
    body = msgspec.json.encode({"tokenKey": settings.access_token.get_secret_value()})
    try:
        answer = door.ask("/oauth/v2/private-apps/get/access-token-info", {}, body=body)
        found = sorted(msgspec.json.decode(answer.body, type=_Token).scopes)
    except (CallVendor, Forbidden, msgspec.DecodeError):
        return None
    return hashlib.blake2b(" ".join(found).encode(), digest_size=8).hexdigest()


@lru_cache
def _spelled(text: str) -> str:
    """As a part of a query. Each page of a list asks for the same hundred names."""
    return quote_plus(text, safe=",")


def _number(answer: Answer, name: str) -> float | None:
    text = answer.headers.get(f"x-hubspot-ratelimit-{name}", "")
    return float(text) if text.isdigit() else None


def _refusal(answer: Answer) -> _Refusal:
    try:
        return msgspec.json.decode(answer.body, type=_Refusal)
    except (msgspec.DecodeError, RecursionError):
        return _Refusal()
