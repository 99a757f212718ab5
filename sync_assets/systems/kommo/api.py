"""Kommo's dialect: bearer token, HAL envelopes, 204 for an empty list, and a block page that is never asked again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar
from urllib.parse import urlencode, urlsplit

import msgspec
from pydantic import SecretStr, field_validator

from sync_assets.entity import Params
from sync_assets.errors import BadCredentials, Forbidden, WrongShape
from sync_assets.extract.dialect import Answer, Api, Outgoing, check_status
from sync_assets.settings import AccountSettings, safe_url


class KommoSettings(AccountSettings):
    where: ClassVar[Mapping[str, str]] = {
        "base_url": "the account's address, https://<subdomain>.kommo.com (or .amocrm.ru)",
        "access_token": "Kommo: Settings, Integrations, a private integration, Keys and scopes: long-lived token",
    }

    former: ClassVar[Mapping[str, str]] = {"KOMMO_TOKEN": "access_token", "KOMMO_BASE_DOMAIN": "base_url"}

    base_url: str
    access_token: SecretStr

    @field_validator("base_url")
    @classmethod
    def _address(cls, value: str) -> str:
        url = urlsplit(safe_url(value if "://" in value else f"https://{value}", setting="KOMMO_BASE_URL"))
        return f"{url.scheme}://{url.netloc}"


class _Problem(msgspec.Struct):
    title: str = ""
    detail: str = ""


class KommoApi(Api):
    at = "_embedded"
    empty = b"{}"

    def __init__(self, settings: KommoSettings) -> None:
        self._base = f"{settings.base_url}/api/v4"
        self._headers = {
            "Authorization": f"Bearer {settings.access_token.get_secret_value()}",
            "Accept": "application/hal+json",
        }

    def outgoing(self, path: str, params: Params) -> Outgoing:
        query = f"?{urlencode(params)}" if params else ""
        return Outgoing("GET", f"{self._base}{path}{query}", self._headers)

    def bucket(self, path: str) -> str:
        return "api"

    def check(self, answer: Answer) -> None:
        status = answer.status
        if status == 402:
            raise Forbidden("the account is not paid for (402)", next_step="pay for the account, or leave it out")
        if status == 403:
            problem = _problem(answer)
            if problem is None:
                # Asking on makes it last longer, so this is refused for the whole run like a bad token.
                raise BadCredentials(
                    "Kommo blocks this address (403, a page instead of JSON)",
                    next_step="stop every client of this account and ask Kommo's support to lift the block",
                )
            raise Forbidden(
                f"the token may not read this (403 {problem.detail[:80]})",
                next_step="use a token of an administrator",
            )
        if status == 400:
            raise WrongShape("the source refuses the request (400)")
        check_status(answer)

    def gone(self, answer: Answer) -> str | None:
        return f"asked for by id: {answer.status}" if answer.status in (204, 404) else None


def _problem(answer: Answer) -> _Problem | None:
    try:
        return msgspec.json.decode(answer.body, type=_Problem)
    except (msgspec.DecodeError, RecursionError):
        return None
