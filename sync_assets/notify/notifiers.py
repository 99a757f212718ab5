"""Every notifier that there is: one more is one more class, and one more line here."""

from __future__ import annotations

from sync_assets.notify.notifier import Notifier
from sync_assets.notify.slack import Slack
from sync_assets.notify.telegram import Telegram
from sync_assets.settings import SyncSettings

NOTIFIERS: tuple[type[Notifier], ...] = (
    Slack,
    Telegram,
)


def notifiers(settings: SyncSettings) -> list[Notifier]:
    """Those that the settings name."""
    return [found for kind in NOTIFIERS if (found := kind.of(settings))]
