"""The words of a message: what, where, since when, what else it stopped, and the next step.

All of it comes from our own errors and checks, which name numbers, types and ids, never a secret or a record's text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from sync_assets.notify.message import Message, short
from sync_assets.settings import SyncSettings

Act = Literal["opening", "recovery", "reminder"]

SHORTER = 200
"""Characters of a line of a summary: twelve of them fit into any notifier's message."""
NAMED = 12
"""Of what else was stopped, so many are named."""


@dataclass(frozen=True)
class Told:
    """An alert as it stands, and what is to be told of it."""

    id: int
    account: str
    entity: str
    cause: str
    kind: str
    severity: str
    says: str
    next_step: str
    stopped: list[str]
    run_id: str | None
    job: str | None
    opened_at: datetime
    last_seen_at: datetime
    recovered_at: datetime | None
    times: int
    before: int
    held: bool
    attempts: int
    act: Act


class Wording:
    def __init__(self, settings: SyncSettings) -> None:
        self._zone = ZoneInfo(settings.sync_alert_time_zone)
        self._dagster = settings.sync_dagster_url

    def one(self, told: Told, now: datetime) -> Message:
        lines = [told.says]
        if told.recovered_at:
            lines = [f"It took {span(told.recovered_at - told.opened_at)}, from {self._when(told.opened_at)}"
                     f" to {self._when(told.recovered_at)}."]  # fmt: skip
            if told.act == "opening":
                lines.insert(0, f"It was: {told.says}")
        else:
            since = f"Since {self._when(told.opened_at)}"
            met = f", met {told.times} times" if told.times > 1 else ""
            back = f"; it came up {told.before} times in the day before" if told.before else ""
            lines += [f"Also stopped: {named(told.stopped)}."] if told.stopped else []
            lines += [f"{since}{met}{back}.", f"Next: {told.next_step.rstrip('.')}."]
        return Message(short(self._title(told)), tuple(short(line) for line in lines), self._link(told))

    def summary(self, many: Sequence[Told], now: datetime, *, was_quiet: bool) -> Message:
        wrong = sum(told.recovered_at is None for told in many)
        said = f"{wrong} wrong, {len(many) - wrong} over" if wrong < len(many) else f"{wrong} wrong"
        title = f"While it was quiet: {said}" if was_quiet else f"sync_assets: {said}"
        return Message(title, tuple(self._line(told) for told in many))

    def _line(self, told: Told) -> str:
        if told.recovered_at:
            line = f"• {self._title(told)}, after {span(told.recovered_at - told.opened_at)}"
        else:
            step = f" Next: {told.next_step}"
            title = f"• {self._title(told)}: "
            line = title + cut(told.says, max(30, SHORTER - len(title) - len(step))) + step
        return cut(short(line), SHORTER)

    def _title(self, told: Told) -> str:
        if told.recovered_at:
            begin = "Over: "
        elif told.act == "reminder":
            begin = "Still wrong: "
        else:
            begin = "Critical: " if told.severity == "critical" else ""
        return f"{begin}{place(told.account, told.entity)}{what(told.kind, told.cause)}"

    def _link(self, told: Told) -> tuple[str, str] | None:
        if not (self._dagster and told.run_id) or told.recovered_at:
            return None
        return f"Run {told.run_id[:8]}", f"{self._dagster}/runs/{told.run_id}"

    def _when(self, moment: datetime) -> str:
        return f"{moment.astimezone(self._zone):%Y-%m-%d %H:%M %Z}"


def place(account: str, entity: str) -> str:
    name = "/".join(filter(None, (account, entity)))
    return f"{name}: " if name else ""


def what(kind: str, cause: str) -> str:
    if kind in ("check", "state"):
        return f"check {cause}"
    return f"sync failed ({cause})" if kind == "step" else f"run failed ({cause})"


def named(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def span(time: timedelta) -> str:
    minutes = round(time.total_seconds() / 60)
    if minutes < 1:
        return "less than a minute"
    days, hours = divmod(minutes // 60, 24)
    parts = [(days, "d"), (hours, "h"), (minutes % 60, "min")]
    return " ".join(f"{n} {unit}" for n, unit in parts if n)


def cut(text: str, size: int) -> str:
    return text if len(text) <= size else text[: max(0, size - 1)] + "…"
