"""Telegram's Bot API: a bot that is in the chat tells it there."""

from __future__ import annotations

import html
import json
from typing import Any, Self

from sync_assets.errors import SourceUnavailable, Throttled
from sync_assets.extract.post import Reply
from sync_assets.notify.message import Message, fitting
from sync_assets.notify.notifier import Notifier
from sync_assets.settings import SyncSettings

SETTING = "SYNC_ALERT_TELEGRAM_TOKEN or SYNC_ALERT_TELEGRAM_CHAT"
LONGEST = 4096
"""UTF-16 units, which is how Telegram counts; it counts them without the markup, we with it."""


class Telegram(Notifier):
    name = "telegram"

    def __init__(self, base: str, token: str, chat: str) -> None:
        super().__init__(token, token.partition(":")[2])
        self._url = f"{base}/bot{token}"
        self._chat = chat

    @classmethod
    def of(cls, settings: SyncSettings) -> Self | None:
        token = settings.sync_alert_telegram_token
        if token is None:
            return None
        return cls(settings.sync_alert_telegram_url, token.get_secret_value(), settings.sync_alert_telegram_chat)

    def send(self, message: Message) -> None:
        below = [f'<a href="{html.escape(link[1])}">{html.escape(link[0])}</a>'] if (link := message.link) else []
        head = f"<b>{html.escape(message.title)}</b>"
        room = LONGEST - sum(units(part) + 1 for part in (head, *below))
        text = "\n".join([head, *fitting([html.escape(line) for line in message.lines], room, units), *below])
        self._call(
            "sendMessage",
            {"chat_id": self._chat, "text": text, "parse_mode": "HTML", "link_preview_options": {"is_disabled": True}},
        )

    def reach(self) -> str:
        self._call("getChat", {"chat_id": self._chat})
        return "the bot's token is good, and it knows the chat"

    def _call(self, method: str, body: dict[str, Any]) -> None:
        url = f"{self._url}/{method}"
        reply = self._ask("POST", url, body, SETTING)
        said = _answer(reply)
        parameters = said.get("parameters")
        wait = parameters.get("retry_after") if isinstance(parameters, dict) else None
        if reply.status == 429 and isinstance(wait, int) and wait >= 0:
            raise Throttled("too many messages", seconds=float(wait))
        self._taken(reply, url, setting=SETTING, said=str(said.get("description", "")))
        if said.get("ok") is not True:
            raise SourceUnavailable("what answers is not Telegram's API")


def units(text: str) -> int:
    return len(text.encode("utf-16-le", "replace")) // 2


def _answer(reply: Reply) -> dict[str, Any]:
    try:
        found = json.loads(reply.head)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
