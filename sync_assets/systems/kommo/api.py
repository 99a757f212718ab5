"""Kommo's dialect: a long-lived token or OAuth, HAL envelopes, 204 for an empty list, a block page asked once only."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar
from urllib.parse import urlencode, urlsplit

import msgspec
from pydantic import SecretStr, field_validator

from sync_assets.entity import Params
from sync_assets.errors import BadCredentials, Forbidden, WrongShape
from sync_assets.extract.dialect import Answer, Api, Outgoing, check_status
from sync_assets.settings import AccountSettings, safe_url, unguessable
from sync_assets.systems.kommo.oauth import KommoOAuth, ends_at


class KommoSettings(AccountSettings):
    where: ClassVar[Mapping[str, str]] = {
        "base_url": "the account's address, https://<subdomain>.kommo.com (or .amocrm.ru)",
        "access_token": "Kommo: Settings, Integrations, a private integration, Keys and scopes: long-lived token",
        "client_id": "Kommo: Settings, Integrations, the integration, Keys and scopes: integration ID",
        "client_secret": "Kommo: Settings, Integrations, the integration, Keys and scopes: secret key",
        "redirect_uri": "the redirect URL in the settings of the integration, to the letter",
        "refresh_token": "what the exchange of an authorization code answers, see .env.example",
    }
    ways: ClassVar[tuple[tuple[str, ...], ...]] = (
        ("access_token",),
        ("client_id", "client_secret", "redirect_uri", "refresh_token"),
    )

    address: ClassVar[str] = "base_url"
    sent_there: ClassVar[tuple[str, ...]] = ("access_token", "client_secret", "refresh_token")
    former: ClassVar[Mapping[str, str]] = {"KOMMO_TOKEN": "access_token", "KOMMO_BASE_DOMAIN": "base_url"}

    base_url: str
    access_token: SecretStr = SecretStr("")
    """A long-lived one; with it none of the following."""
    client_id: str = ""
    client_secret: SecretStr = SecretStr("")
    redirect_uri: str = ""
    refresh_token: SecretStr = SecretStr("")
    """The first of its chain: each use answers another one, and those are kept in Postgres."""
    webhook_secret: SecretStr = SecretStr("")
    """The last part of the address that Kommo calls; without it there is none."""
    account_id: str = ""
    """Whose webhooks are taken; without it those of the subdomain in the address."""

    @field_validator("webhook_secret")
    @classmethod
    def _unguessable(cls, value: SecretStr) -> SecretStr:
        return SecretStr(unguessable(value.get_secret_value(), setting="KOMMO_WEBHOOK_SECRET"))

    @field_validator("base_url")
    @classmethod
    def _address(cls, value: str) -> str:
        url = urlsplit(safe_url(value if "://" in value else f"https://{value}", setting="KOMMO_BASE_URL"))
        return f"{url.scheme}://{url.netloc}"

    def token_ends(self) -> datetime | None:
        return ends_at(self.access_token.get_secret_value())


class _Wrong(msgspec.Struct):
    code: str = ""
    path: str = ""
    detail: str = ""


class _Refusal(msgspec.Struct):
    request_id: str = ""
    errors: list[_Wrong] = []


class _Problem(msgspec.Struct, rename={"refusals": "validation-errors"}):
    title: str = ""
    detail: str = ""
    refusals: list[_Refusal] = []


class Invalid(WrongShape):
    """Kommo refuses what a request says; `refusals` are its words by `request_id`, where it names any."""

    def __init__(self, what: str = "", *, refusals: Mapping[str, str] | None = None, **where: Any) -> None:
        super().__init__(what, **where)
        self.refusals = refusals or {}


class KommoApi(Api):
    at = "_embedded"
    empty = b"{}"

    def __init__(self, settings: KommoSettings) -> None:
        self._base = f"{settings.base_url}/api/v4"
        self._headers = {"Accept": "application/hal+json"}
        if token := settings.access_token.get_secret_value():
            self._headers["Authorization"] = f"Bearer {token}"
        else:
            self.oauth = KommoOAuth(
                settings.base_url,
                client_id=settings.client_id,
                client_secret=settings.client_secret.get_secret_value(),
                redirect_uri=settings.redirect_uri,
                seed=settings.refresh_token.get_secret_value(),
                check=self.check,
            )

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
            refusals = (_problem(answer) or _Problem()).refusals
            words = {r.request_id: "; ".join(f"{e.path}: {e.detail}"[:200] for e in r.errors) for r in refusals}
            raise Invalid("the source refuses the request (400)", refusals=words)
        check_status(answer)

    def gone(self, answer: Answer) -> str | None:
        return f"asked for by id: {answer.status}" if answer.status in (204, 404) else None


def _problem(answer: Answer) -> _Problem | None:
    try:
        return msgspec.json.decode(answer.body, type=_Problem)
    except (msgspec.DecodeError, RecursionError):
        return None
