"""Kaiten's dialect: bearer token, lists as bare arrays, 403 with an empty body for a card that is not there."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import ClassVar
from urllib.parse import urlencode, urlsplit

from pydantic import SecretStr, field_validator

from sync_assets.entity import Params
from sync_assets.errors import Forbidden, WrongShape
from sync_assets.extract.dialect import Answer, Api, Outgoing, Pause, check_status
from sync_assets.settings import AccountSettings, safe_url, unguessable


class KaitenSettings(AccountSettings):
    where: ClassVar[Mapping[str, str]] = {
        "api_url": "https://<company>.kaiten.ru/api/latest",
        "api_token": "Kaiten: user menu, Settings, API key; the token has its user's rights",
    }

    address: ClassVar[str] = "api_url"
    sent_there: ClassVar[tuple[str, ...]] = ("api_token",)
    former: ClassVar[Mapping[str, str]] = {
        "KAITEN_TOKEN": "api_token",
        "KAITEN_DOMAIN": "api_url",
        "KAITEN_BASE_URL": "api_url",
    }

    api_url: str
    api_token: SecretStr
    webhook_secret: SecretStr = SecretStr("")
    """The last part of the address that Kaiten calls; without it there is none."""

    @field_validator("webhook_secret")
    @classmethod
    def _unguessable(cls, value: SecretStr) -> SecretStr:
        return SecretStr(unguessable(value.get_secret_value(), setting="KAITEN_WEBHOOK_SECRET"))

    @field_validator("api_url")
    @classmethod
    def _address(cls, value: str) -> str:
        url = safe_url(value, setting="KAITEN_API_URL")
        return url if urlsplit(url).path else f"{url}/api/latest"


class KaitenApi(Api):
    at = ""

    def __init__(self, settings: KaitenSettings) -> None:
        self._base = settings.api_url
        self._headers = {
            "Authorization": f"Bearer {settings.api_token.get_secret_value()}",
            "Accept": "application/json",
        }

    def outgoing(self, path: str, params: Params) -> Outgoing:
        query = f"?{urlencode(params)}" if params else ""
        return Outgoing("GET", f"{self._base}{path}{query}", self._headers)

    def bucket(self, path: str) -> str:
        return "api"

    def check(self, answer: Answer) -> None:
        if answer.status == 429:
            try:
                check_status(answer)
            except Pause as told:
                raise told if told.seconds is not None else Pause(_reset(answer)) from None
        if answer.status == 402:
            raise Forbidden(
                "the tariff does not include this (402)",
                next_step="extend the tariff or leave the entity out",
            )
        check_status(answer)
        if answer.body[:1] == b"{" and b'"error"' in answer.body[:200]:
            raise WrongShape("the answer is an error with status 200")

    def gone(self, answer: Answer) -> str | None:
        # A card that is not there answers 403 without a body, as one that the token may not see does.
        if answer.status == 403 and not answer.body.strip():
            return "asked for by id: 403 without a body"
        if answer.status in (404, 410):
            return f"asked for by id: {answer.status}"
        return None


def _reset(answer: Answer) -> float | None:
    """Seconds until the limit resets. Documented as an epoch; one client met seconds, so small numbers are those."""
    try:
        reset = float(answer.headers.get("x-ratelimit-reset", ""))
    except ValueError:
        return None
    return reset - time.time() if reset > 1e9 else reset
