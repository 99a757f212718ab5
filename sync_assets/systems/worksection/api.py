"""Worksection's dialect: one endpoint, the method as `action`, errors as HTTP 200 with a number.

The hash covers the query string exactly as it is sent, so it is built once and sent as built.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from collections.abc import Mapping
from typing import Any, ClassVar, Literal
from urllib.parse import quote, urlencode, urlsplit

import msgspec
from pydantic import SecretStr, field_validator, model_validator

from sync_assets.entity import Params
from sync_assets.errors import (
    BadCredentials,
    CallVendor,
    FixConfig,
    Forbidden,
    MissingSetting,
    NotFound,
    SourceUnavailable,
    TooManyRecords,
    UnsafeSetting,
    WrongShape,
)
from sync_assets.extract.dialect import Answer, Api, Outgoing, Pause, check_status
from sync_assets.settings import AccountSettings, safe_url, unguessable


class WorksectionSettings(AccountSettings):
    where: ClassVar[Mapping[str, str]] = {
        "domain": "the address of the account, company.worksection.com",
        "hash": "Worksection: account settings, API, administrative key (32 characters)",
    }

    address: ClassVar[str] = "domain"
    sent_there: ClassVar[tuple[str, ...]] = ("hash",)
    former: ClassVar[Mapping[str, str]] = {"WS_API_KEY": "hash", "WORKSECTION_API_KEY": "hash", "WS_DOMAIN": "domain"}

    domain: str
    hash: SecretStr
    auth: Literal["md5", "header", "bearer"] = "md5"
    """How requests prove themselves: the hash parameter, the HMAC header, or an OAuth2 access token as `hash`."""
    mapping: Literal["tag", "depth"] = "tag"
    """What a stage is: a project tag (objects are tasks, sections subtasks), or a top-level task (and so on down)."""
    stage_pattern: str = "стадия|stage"
    sync_tag: str = ""
    """Only projects with a tag of this title have stages, objects and sections; empty for all projects."""
    ignore_marker: str = "!"
    """A task whose name begins so is no object and no section."""
    closed: Literal["leave_out", "keep"] = "leave_out"
    """Whether closed tasks are objects and sections too. The table `tasks` holds them in any case."""
    webhook_user: str = ""
    webhook_password: SecretStr = SecretStr("")
    """What Worksection shows when it calls, by HTTP Basic; without both there is no address for it."""

    @field_validator("domain")
    @classmethod
    def _address(cls, value: str) -> str:
        url = safe_url(value if "://" in value else f"https://{value}", setting="WORKSECTION_DOMAIN")
        host = urlsplit(url).hostname or ""
        if host not in ("127.0.0.1", "localhost") and ".worksection." not in host:
            raise MissingSetting(
                "WORKSECTION_DOMAIN names no Worksection account",
                next_step="set it to company.worksection.com",
            )
        return url

    @field_validator("webhook_password")
    @classmethod
    def _unguessable(cls, value: SecretStr) -> SecretStr:
        return SecretStr(unguessable(value.get_secret_value(), setting="WORKSECTION_WEBHOOK_PASSWORD"))

    @model_validator(mode="after")
    def _both_or_none(self) -> WorksectionSettings:
        if bool(self.webhook_user) != bool(self.webhook_password.get_secret_value()):
            raise MissingSetting(
                "of WORKSECTION_WEBHOOK_USER and WORKSECTION_WEBHOOK_PASSWORD one is set and one is not",
                next_step="set both, of your own choice, or neither",
            )
        if ":" in self.webhook_user:
            raise UnsafeSetting("WORKSECTION_WEBHOOK_USER has a colon, which ends it", next_step="choose another name")
        return self

    @field_validator("stage_pattern")
    @classmethod
    def _pattern(cls, value: str) -> str:
        try:
            re.compile(value)
        except re.error as e:
            raise ValueError(f"no regular expression: {e.msg}") from None
        return value

    def options(self) -> dict[str, Any]:
        return {
            "stage_pattern": self.stage_pattern,
            "sync_tag": self.sync_tag,
            "marker": self.ignore_marker,
            "closed": self.closed == "keep",
        }


class _Envelope(msgspec.Struct):
    status: str
    status_code: int = 0
    message: str = ""
    message_details: str | None = None


class WorksectionApi(Api):
    at = "data"

    def __init__(self, settings: WorksectionSettings) -> None:
        self._base = settings.domain
        self._auth = settings.auth
        self._key = settings.hash.get_secret_value()

    def outgoing(self, path: str, params: Params) -> Outgoing:
        query = urlencode({"action": path, **params}, quote_via=quote)
        headers = {"Accept": "application/json"}
        if self._auth == "bearer":
            headers["Authorization"] = f"Bearer {self._key}"
            return Outgoing("GET", f"{self._base}/api/oauth2?{query}", headers)
        if self._auth == "header":
            now = str(int(time.time()))
            proof = hmac.new(self._key.encode(), f"{path}:{now}".encode(), hashlib.sha256).hexdigest()
            headers["Authorization"] = f"Admin {now}_{proof}"
        else:
            query += f"&hash={md5_hash(query, self._key)}"
        return Outgoing("GET", f"{self._base}/api/admin/v2/?{query}", headers)

    def bucket(self, path: str) -> str:
        return "api"

    def check(self, answer: Answer) -> None:
        check_status(answer)
        envelope = self._envelope(answer)
        if envelope is None or envelope.status == "ok":
            return
        code, message = envelope.status_code, envelope.message
        details = f"; {envelope.message_details[:60]}" if envelope.message_details else ""
        said = f"Worksection answers error {code}: {message[:80]}{details}"
        if "too many requests" in message.lower():
            raise Pause(None, said)
        if "too many tasks" in message.lower():
            raise TooManyRecords(said, next_step="archive old projects, or connect the account per project")
        if code == 2 or "expired" in message.lower():
            raise BadCredentials(said, next_step="set WORKSECTION_HASH to the account's administrative API key")
        if code == 20:
            raise Forbidden(said, next_step="use the administrative key, which sees the whole account")
        if code == 11 and answer.path == "add_webhook":
            raise FixConfig(
                f"{said}: Worksection calls an address before it takes it",
                next_step="start sync-assets receive where SYNC_PUBLIC_URL leads to it, then try again",
            )
        if code in (10, 11):
            raise WrongShape(said)
        if code in (4, 5, 30):
            raise NotFound(said, next_step="nothing to do if it was deleted; else check the token's rights")
        raise SourceUnavailable(said) if code == 0 else CallVendor(said)

    def gone(self, answer: Answer) -> str | None:
        envelope = self._envelope(answer)
        if envelope is not None and envelope.status == "error" and envelope.status_code in (4, 5, 30):
            return f"asked for by id: error {envelope.status_code}, {envelope.message[:60]}"
        return None

    def _envelope(self, answer: Answer) -> _Envelope | None:
        try:
            return msgspec.json.decode(answer.body, type=_Envelope)
        except (msgspec.DecodeError, RecursionError):
            return None


def md5_hash(query: str, key: str) -> str:
    """The `hash` parameter of a query string; the documented scheme, which is no choice of ours."""
    return hashlib.md5(f"{query}{key}".encode(), usedforsecurity=False).hexdigest()
