"""Whom to tell of what went wrong, and when not to: the part of the settings that alerts need."""

from __future__ import annotations

import re
from typing import Literal, Self
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, SecretStr, field_validator, model_validator

from sync_assets.errors import MissingSetting

MIDNIGHT = 24 * 60


class AlertSettings(BaseModel):
    """Addresses are looked at in `settings`, with those of every other kind."""

    model_config = ConfigDict(extra="ignore", frozen=True, validate_default=True)

    sync_alert_slack_url: SecretStr | None = None
    """An incoming webhook in Slack's form, which Mattermost and others take too. Whoever has the address may post."""
    sync_alert_telegram_token: SecretStr | None = None
    """The token of a bot, as BotFather shows it."""
    sync_alert_telegram_chat: str = ""
    """The chat that the bot is in: a number, or @name of a channel."""
    sync_alert_telegram_url: str = "https://api.telegram.org"
    """Where the bot's server is."""
    sync_alert_remind_hours: float = 24.0
    """What is still wrong after this long is told again; 0 for never."""
    sync_alert_quiet: str = ""
    """Hours in which nobody is told, such as 22:00-07:00; what came up is told in one message when they end."""
    sync_alert_quiet_except: Literal["critical", "error", "none"] = "critical"
    """What is told in quiet hours too: what loses data while it waits; every error; nothing."""
    sync_alert_time_zone: str = "UTC"
    """The zone of the quiet hours and of the times in messages, such as Europe/Moscow."""
    sync_dagster_url: str = ""
    """The address of Dagster's UI as people open it; messages link to runs there."""

    @field_validator("sync_alert_telegram_token")
    @classmethod
    def _telegram_token(cls, value: SecretStr | None) -> SecretStr | None:
        if value and not re.fullmatch(r"[0-9]+:[A-Za-z0-9_-]+", value.get_secret_value()):
            raise ValueError("a bot's token is a number, a colon, and letters, digits, _ and -")
        return value

    @field_validator("sync_alert_telegram_chat")
    @classmethod
    def _telegram_chat(cls, value: str) -> str:
        if value and not re.fullmatch(r"-?[0-9]+|@[A-Za-z0-9_]+", value):
            raise ValueError("a chat is a number or @name")
        return value

    @field_validator("sync_alert_remind_hours")
    @classmethod
    def _remind_hours(cls, value: float) -> float:
        if not 0 <= value < 10_000:
            raise ValueError("a number of hours, 0 for never")
        return value

    @field_validator("sync_alert_quiet")
    @classmethod
    def _quiet(cls, value: str) -> str:
        if value:
            daily_hours(value)
        return value

    @field_validator("sync_alert_time_zone")
    @classmethod
    def _time_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError):
            raise ValueError("no time zone: Europe/Moscow, UTC") from None
        return value

    @field_validator("sync_dagster_url")
    @classmethod
    def _dagster_url(cls, value: str) -> str:
        """A link for people, who may be inside a network of their own; nothing is sent there."""
        url = urlsplit(value)
        if value and (url.scheme not in ("http", "https") or not url.hostname or url.username or url.password):
            raise ValueError("it must start with http:// or https:// and carry no password")
        return value.rstrip("/")

    @model_validator(mode="after")
    def _telegram_is_a_pair(self) -> Self:
        given = (bool(self.sync_alert_telegram_token), bool(self.sync_alert_telegram_chat))
        if any(given) and not all(given):
            missing = "SYNC_ALERT_TELEGRAM_CHAT" if given[0] else "SYNC_ALERT_TELEGRAM_TOKEN"
            raise MissingSetting(
                f"Telegram is half set: {missing} missing",
                next_step=f"set {missing}; .env.example says where its value is",
            )
        return self


def daily_hours(text: str) -> tuple[int, int]:
    """ "22:00-07:00" -> (1320, 420), minutes after midnight. Raises ValueError."""
    match = re.fullmatch(r"\s*(\d{1,2}):([0-5]\d)\s*-\s*(\d{1,2}):([0-5]\d)\s*", text)
    opens, closes = (int(match[1]) * 60 + int(match[2]), int(match[3]) * 60 + int(match[4])) if match else (0, 0)
    if opens == closes or opens >= MIDNIGHT or closes > MIDNIGHT:
        raise ValueError("hours are two times of day: 09:00-19:00, 22:00-06:00 or 00:00-24:00")
    return opens, closes
