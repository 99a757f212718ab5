"""Slack's incoming webhooks, and whatever takes their form: Mattermost, Rocket.Chat, Discord's /slack."""

from __future__ import annotations

import re
from typing import Self

from sync_assets.notify.message import Message, fitting
from sync_assets.notify.notifier import Notifier
from sync_assets.settings import SyncSettings

SETTING = "SYNC_ALERT_SLACK_URL"
LONGEST_BLOCK = 3000
LOOKALIKES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "*": "∗", "~": "∼", "`": "ˋ"})
"""mrkdwn can escape three characters; of those that mean bold, struck and code only others can stand in their place."""


class Slack(Notifier):
    name = "slack"

    def __init__(self, url: str) -> None:
        super().__init__(url, url.rpartition("/")[2])
        self._url = url

    @classmethod
    def of(cls, settings: SyncSettings) -> Self | None:
        url = settings.sync_alert_slack_url
        return cls(url.get_secret_value()) if url else None

    def send(self, message: Message) -> None:
        below = [f"<{link[1].translate(IN_ADDRESS)}|{escaped(link[0])}>"] if (link := message.link) else []
        head = f"*{escaped(message.title)}*"
        room = LONGEST_BLOCK - sum(len(part) + 1 for part in (head, *below))
        text = "\n".join([head, *fitting([escaped(line) for line in message.lines], room), *below])
        block = {"type": "section", "text": {"type": "mrkdwn", "text": text, "verbatim": True}}
        reply = self._ask("POST", self._url, {"text": text, "blocks": [block]}, SETTING)
        self._taken(reply, self._url, setting=SETTING, said=_words(reply.head))

    def reach(self) -> str:
        reply = self._ask("HEAD", self._url, None, SETTING)
        return f"answers ({reply.status}); whether it takes messages, sync-assets alerts test shows"


IN_ADDRESS = str.maketrans({"&": "&amp;", "<": "%3C", ">": "%3E", "|": "%7C"})


def escaped(text: str) -> str:
    """As Slack shows it again. An underscore inside a word means nothing to it and stays: names are copied."""
    return re.sub(r"(?<!\w)_|_(?!\w)", "ˍ", text.translate(LOOKALIKES))


def _words(head: bytes) -> str:
    """Slack's reasons are single words such as invalid_blocks; anything longer is a page of somebody else's."""
    said = head.decode("utf-8", "replace").strip()
    return said if re.fullmatch(r"[a-z_ ]{1,60}", said) else ""
