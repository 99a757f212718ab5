"""Worksection's webhooks: an array of the same events that get_events shows, to whoever answers {"status":"OK"}.

Promise: an address is tried before it is taken (else error 11), each delivery must be answered the same way within
5 s, and after ten failures in a row the webhook is paused. The non-obvious decision: a failed delivery is not tried
again, since the vendor documents no retry.
"""

from base64 import b64encode
from collections.abc import Iterable, Sequence
from typing import ClassVar

from msgspec import MsgspecError

from sync_assets.sandbox.dialect import Record, decode, encode
from sync_assets.sandbox.webhooks.news import Heard
from sync_assets.sandbox.webhooks.vendor import Event, Hook, Letter, Said, Vendor

# Those that can be asked for; reopen_task stands in an example only.
EVENTS = frozenset(
    f"{action}_{kind}" for action in ("post", "update", "delete") for kind in ("task", "comment", "project")
) - {"delete_project"} | {"close_task", "reopen_task"}
MOST_FAILURES = 10


class WorksectionWebhooks(Vendor):
    name = "worksection"
    secrets: ClassVar[tuple[str, ...]] = ("password", "user")

    def events(self, heard: list[Heard]) -> Iterable[Event]:
        for (event,) in heard:
            if (name := f"{event['action']}_{event['object']['type']}") in EVENTS:
                yield self._event(name, event)

    def _event(self, name: str, event: Record) -> Event:
        about = event["object"]
        project = about["page"].split("/")[2]
        shown = dict(about)
        if self.switches["worksection.hook_page"] == "task":
            shown["page"] = f"/{about['type']}/{about['id']}/"
        return Event(name, f"{about['type']}s", about["id"], lambda: event | {"object": shown}, project)

    def invented(self, name: str, entity: str, key: str) -> Event:
        action, _, kind = name.partition("_")
        return self._event(name, {"action": action, "object": {"type": kind, "id": key, "page": f"/project/0/{key}/"}})

    def wants(self, hook: Hook, event: Event) -> bool:
        """`place` is the list of projects that was asked for."""
        everywhere = not hook.place or event.place in hook.place
        return everywhere and hook.status == "active" and (not hook.events or event.name in hook.events)

    def batch(self) -> int:
        return int(self.switches["worksection.hook_batch"])

    def letter(self, hook: Hook, said: Sequence[Said], attempt: int, moment: float) -> Letter:
        return Letter(hook.url, encode([one.body for one in said]), self._headers(hook.secrets))

    def _headers(self, secrets: dict[str, str]) -> dict[str, str]:
        headers = {"Content-Type": "application/json"}
        if secrets:
            pair = f"{secrets.get('user', '')}:{secrets.get('password', '')}"
            headers["Authorization"] = f"Basic {b64encode(pair.encode()).decode()}"
        return headers

    def trial(self, url: str, secrets: dict[str, str]) -> Letter:
        """What a new address is tried with; its body is not documented."""
        body = b"[]" if self.switches["worksection.hook_check"] == "array" else b""
        return Letter(url, body, self._headers(secrets))

    def accepts(self, status: int, body: bytes) -> bool:
        try:
            return status == 200 and decode(body, type=dict[str, object]).get("status") == "OK"
        except MsgspecError:
            return False

    def took(self, hook: Hook, ok: bool, moment: float) -> None:
        hook.failures = [] if ok else [*hook.failures, moment]
        if len(hook.failures) >= MOST_FAILURES:
            hook.status = "paused"

    def rows(self) -> list[Record]:
        """What get_webhooks shows."""
        return [_row(hook) for hook in self.hooks.values()]


def _row(hook: Hook) -> Record:
    row: Record = {"id": str(hook.id), "url": hook.url, "events": ",".join(sorted(hook.events or EVENTS))}
    return row | {"status": hook.status} | ({"projects": ",".join(hook.place)} if hook.place else {})
