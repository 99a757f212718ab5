"""Bitrix's dialect: the secret is in the address, and one error has three spellings and two families of codes.

A batch is asked for as `batch/<method>`: Bitrix blocks methods one by one, so the path says which one a batch is of.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar
from urllib.parse import urlencode, urlsplit
from zoneinfo import available_timezones

import msgspec
from pydantic import SecretStr, field_validator

from sync_assets.entity import Params
from sync_assets.errors import BadCredentials, FixConfig, Forbidden, NotFound, SourceUnavailable, SyncError, WrongShape
from sync_assets.extract.dialect import Answer, Api, Outgoing, Pause, check_status, retry_after
from sync_assets.settings import AccountSettings, host_of, safe_url

UNTIL_RESET = 60.0
"""Seconds to wait where Bitrix does not say when a method's run time is reckoned anew: it is by the minute."""

WEBHOOK = "Bitrix24: Developer resources, Other, Inbound webhook, of an administrator, with sale, catalog and user"


class BitrixSettings(AccountSettings):
    where: ClassVar[Mapping[str, str]] = {"webhook_url": WEBHOOK}
    former: ClassVar[Mapping[str, str]] = {"BITRIX_WEBHOOK": "webhook_url", "BITRIX24_WEBHOOK_URL": "webhook_url"}

    webhook_url: SecretStr
    application_token: SecretStr = SecretStr("")
    """What each event of an outbound webhook or of an application bears; without it there is no address for them."""
    member_id: str = ""
    """The portal whose events are taken; without it the token decides alone."""
    shop_secret: SecretStr = SecretStr("")
    """What the shop signs its webhooks with (integrations/bitrix)."""
    shop_token: SecretStr = SecretStr("")
    """The token in the body of a handler that signs nothing."""
    shop_timezone: str = ""
    """The zone of dates that tell none; without it such dates count as not told."""

    @field_validator("shop_timezone")
    @classmethod
    def _zone(cls, value: str) -> str:
        if value and value not in available_timezones():
            raise ValueError("it is no time zone, such as Asia/Almaty")
        return value

    @field_validator("webhook_url")
    @classmethod
    def _address(cls, value: SecretStr) -> SecretStr:
        url = safe_url(value.get_secret_value(), setting="BITRIX_WEBHOOK_URL")
        parts = urlsplit(url)
        if not re.fullmatch(r"/rest/\d+/[^/]+", parts.path) or parts.query or parts.fragment:
            raise ValueError("it is not of the form https://<portal>/rest/<user>/<secret>/")
        return SecretStr(url)

    def sent(self) -> dict[str, tuple[str, str]]:
        """The address is the secret: all of it but its host."""
        url = self.webhook_url.get_secret_value()
        return {"webhook_url": (host_of(url), urlsplit(url).path)}

    def secrets(self) -> tuple[str, ...]:
        """Of the address both the whole and the part that is the secret."""
        return *super().secrets(), self.webhook_url.get_secret_value().rpartition("/")[2]


class Refusal(msgspec.Struct):
    error: str | int = ""
    error_description: str = ""
    time: _Time | None = None

    @property
    def code(self) -> str:
        return str(self.error)


class _Time(msgspec.Struct):
    operating_reset_at: float | None = None


NOTHING_REFUSED = re.compile(rb'"result_error":(?:\[\]|\{\})')
"""No text of a record reads like this: a quote inside one is escaped."""

Refusals = dict[str, Refusal] | list[Refusal]
Nexts = dict[str, int] | list[int]


class Gave(msgspec.Struct):
    """What the commands of a batch gave, by their names; PHP writes an empty map as a list."""

    result: dict[str, msgspec.Raw] | list[msgspec.Raw] = []
    result_error: Refusals = []
    result_next: Nexts = []


class Batch(msgspec.Struct):
    result: Gave


class BitrixApi(Api):
    at = "result"

    def __init__(self, settings: BitrixSettings) -> None:
        self._base = settings.webhook_url.get_secret_value()

    def outgoing(self, path: str, params: Params) -> Outgoing:
        query = f"?{urlencode(params)}" if params else ""
        return Outgoing("GET", f"{self._base}/{path.partition('/')[0]}{query}", {"Accept": "application/json"})

    def bucket(self, path: str) -> str:
        return "api"

    def part(self, path: str) -> str | None:
        return _method(path)

    def check(self, answer: Answer) -> None:
        if b'"error"' in answer.body[:2000] and (refusal := _refusal(answer)) and refusal.code:
            raise refused(refusal, answer)
        if answer.status == 200 and answer.path.startswith("batch/") and not NOTHING_REFUSED.search(answer.body):
            failed = _failed(answer)
            if failed and isinstance(why := refused(failed, answer), Pause | BadCredentials):
                raise why
        check_status(answer)

    def gone(self, answer: Answer) -> str | None:
        return None


def rights(door: Any, _settings: BitrixSettings) -> str | None:
    """The webhook's scopes."""
    answer = door.ask("scope", {})
    try:
        return ", ".join(sorted(msgspec.json.decode(answer.body, type=_Scopes).result))
    except msgspec.DecodeError:
        return None


class _Scopes(msgspec.Struct):
    result: list[str]


def refused(refusal: Refusal, answer: Answer) -> SyncError:
    """What a refusal means, of a whole answer or of one command in a batch."""
    code, method = refusal.code, _method(answer.path)
    match code:
        case "QUERY_LIMIT_EXCEEDED":
            told = retry_after(answer.headers, time.time()) or 0.0
            return Pause(max(1.0, told), "more requests than Bitrix's bucket holds")
        case "OPERATION_TIME_LIMIT":
            return Pause(_until_reset(refusal, answer), f"{method} has used up its run time", reach="part")
        case "OVERLOAD_LIMIT":
            # Somebody at Bitrix blocked it: asking on helps nobody, so this is refused for the whole run.
            return BadCredentials(
                "Bitrix has blocked this account's REST API by hand (OVERLOAD_LIMIT)",
                next_step="stop every client of this portal and ask Bitrix24's support to lift the block",
            )
        case "NO_AUTH_FOUND" | "expired_token" | "invalid_token" | "INVALID_CREDENTIALS" | "PORTAL_DELETED":
            return BadCredentials(
                f"Bitrix refuses the webhook ({code})",
                next_step="make a new inbound webhook and set BITRIX_WEBHOOK_URL",
            )
        case "insufficient_scope":
            return Forbidden(
                f"the webhook lacks the scope {method.partition('.')[0]}", next_step=f"give it that scope ({WEBHOOK})"
            )
        case "INVALID_REQUEST":
            return FixConfig("Bitrix refuses this address (INVALID_REQUEST)", next_step="set it to https://")
        case "ERROR_METHOD_NOT_FOUND":
            return NotFound(
                f"the portal has no method {method}", next_step="update the portal's rest, sale and catalog modules"
            )
        case "INTERNAL_SERVER_ERROR" | "ERROR_UNEXPECTED_ANSWER":
            return SourceUnavailable(f"Bitrix fails ({code})")
    if code in ("ACCESS_DENIED", "user_access_error") or re.fullmatch(r"\d{4}403\d{5}", code):
        return Forbidden(
            f"the webhook's user may not read this ({code})", next_step="make the webhook as an administrator"
        )
    if answer.status >= 500:
        return SourceUnavailable(f"Bitrix fails ({answer.status})")
    return WrongShape(f"Bitrix refuses the request ({answer.status}, error {code[:40]})")


def is_gone(refusal: Refusal) -> bool:
    """Whether a record asked for by its id is not there. Numbers say so where a module has them, else words do."""
    of_module = re.fullmatch(r"\d{4}404\d{5}", refusal.code)
    in_words = refusal.code in ("0", "") and re.search(r"not (exists?|found)", refusal.error_description)
    return bool(of_module or in_words)


def _method(path: str) -> str:
    return path.rpartition("/")[2]


def _refusal(answer: Answer) -> Refusal | None:
    try:
        return msgspec.json.decode(answer.body, type=Refusal)
    except (msgspec.DecodeError, RecursionError):
        return None


def _failed(answer: Answer) -> Refusal | None:
    """The first refusal of a batch of which nothing succeeded."""
    try:
        found = msgspec.json.decode(answer.body, type=Batch).result
    except (msgspec.DecodeError, RecursionError):
        return None  # damaged records: the batch's reader goes by tokens
    refusals = found.result_error
    if found.result or not refusals:
        return None
    return next(iter(refusals.values() if isinstance(refusals, dict) else refusals))


def _until_reset(refusal: Refusal, answer: Answer) -> float:
    at, now = refusal.time.operating_reset_at if refusal.time else None, answer.date or datetime.now().astimezone()
    return UNTIL_RESET if at is None else max(1.0, at - now.timestamp())
