"""Kommo's webhooks: settings per address, forms as PHP writes them, five attempts, and an end to who fails too often.

Promise: an edit is one event of its record, however many parts it had; a lead that moves is an update and a status, a
new owner an update and a responsible. The non-obvious decision: what a record was and became is read from the one place
where records are put, so no edit can be forgotten; a deadline that moves by itself is no event.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlencode

from sync_assets.sandbox.dialect import Record
from sync_assets.sandbox.kommo import hook_bodies as bodies
from sync_assets.sandbox.kommo.auth import ADMIN
from sync_assets.sandbox.kommo.shapes import ACCOUNT_ID, DOMAIN, KINDS, SINGULAR, SUBDOMAIN, Thing
from sync_assets.sandbox.webhooks.form import pairs
from sync_assets.sandbox.webhooks.news import Heard
from sync_assets.sandbox.webhooks.vendor import Event, Hook, Letter, Said, Vendor

if TYPE_CHECKING:
    from sync_assets.sandbox.kommo.api import Kommo

SETTINGS = frozenset(
    f"{action}_{single}"
    for single in SINGULAR.values()
    for action in ("add", "update", "delete", "restore", "responsible", "note")
    if single != "task" or action not in ("restore", "note")
) | {"status_lead", "add_message", "add_talk", "update_talk", "add_chat_template_review"}
MOST_HOOKS = 100
MOST_INVALID, INVALID_SECONDS = 100, 7200
# Seconds before the second, third, fourth and fifth attempt.
WAITS = (300, 900, 900, 3600)
GROUPS = {"leads": "leads", "contacts": "contacts", "companies": "contacts", "tasks": "task"}
# What changes of itself.
DERIVED = {"closest_task_at"}


class KommoWebhooks(Vendor):
    name = "kommo"
    timeout: ClassVar[float] = 2.0

    def __init__(self, api: "Kommo", switches: dict[str, str]) -> None:
        super().__init__(switches, api.clock, api.lock)
        self._api = api

    # Events.

    def events(self, heard: list[Heard]) -> Iterable[Event]:
        first: dict[tuple[str, int], Thing | None] = {}
        last: dict[tuple[str, int], Thing | None] = {}
        restored = set()
        for what, kind, id, *versions in heard:
            if what == "restored":
                restored.add((kind, id))
                continue
            if what == "note":
                (note,) = versions
                yield self._event("note", kind, id, partial(bodies.note, kind, note))
                continue
            before, after = versions
            if not _derived(before, after):
                first.setdefault((kind, id), before)
                last[kind, id] = after
        for (kind, id), before in first.items():
            yield from self._of_record(kind, id, before, last[kind, id], (kind, id) in restored)

    def _of_record(
        self, kind: str, id: int, before: Thing | None, after: Thing | None, restored: bool
    ) -> Iterable[Event]:
        company = self._api.company
        if before is None and after is not None:
            yield self._event("restore" if restored else "add", kind, id, lambda: bodies.whole(company, kind, after))
        elif before is not None and after is None:
            if id not in company.merged[kind] or self.switches["kommo.merge"] == "deleted":
                yield self._event("delete", kind, id, lambda: bodies.deleted(company, kind, before))
        elif before is not None and after is not None:
            old, new = before.fields, after.fields
            names = [name for name in ("status_id", "pipeline_id") if kind == "leads" and old[name] != new[name]]
            if not names or self.switches["kommo.hook_status"] == "both":
                yield self._event("update", kind, id, lambda: bodies.updated(company, kind, before, after))
            if names:
                was = {f"old_{name}": old[name] for name in ("status_id", "pipeline_id")}
                yield self._event("status", kind, id, lambda: bodies.whole(company, kind, after, was))
            if old["responsible_user_id"] != new["responsible_user_id"]:
                former = {"old_responsible_user_id": old["responsible_user_id"]}
                yield self._event("responsible", kind, id, lambda: bodies.whole(company, kind, after, former))

    def _event(self, action: str, kind: str, id: int, body: Callable[[], Record]) -> Event:
        return Event(f"{action}_{SINGULAR[kind]}", kind, str(id), lambda: (GROUPS[kind], action, body()))

    def invented(self, name: str, entity: str, key: str) -> Event:
        action, _, single = name.partition("_")
        group = next((GROUPS[kind] for kind in KINDS if SINGULAR[kind] == single), single)
        type = {"type": single} if group in ("leads", "contacts") else {}
        return Event(name, entity, key, lambda: (group, action, {"id": key} | type))

    def wants(self, hook: Hook, event: Event) -> bool:
        if hook.status != "active":
            return False
        if event.name == "update_task" and self.switches["kommo.hook_tasks"] == "always":
            return not hook.events or any(name.endswith("_task") for name in hook.events)
        return not hook.events or event.name in hook.events

    # Letters.

    def batch(self) -> int:
        return int(self.switches["kommo.hook_batch"])

    def letter(self, hook: Hook, said: Sequence[Said], attempt: int, moment: float) -> Letter:
        grouped: dict[str, dict[str, list[Record]]] = {}
        for one in said:
            group, action, body = one.body
            grouped.setdefault(group, {}).setdefault(action, []).append(body)
        account: Record = {"subdomain": SUBDOMAIN}
        if self.switches["kommo.hook_era"] == "now":
            account |= {"id": ACCOUNT_ID, "_links": {"self": f"https://{DOMAIN}"}}
        headers = {"Content-Type": "application/x-www-form-urlencoded", "User-Agent": "amoCRM-WebHook-client/1.0"}
        form = urlencode(list(pairs("", grouped | {"account": account})))
        return Letter(hook.url, form.encode(), headers | {"Accept": "*/*", "Connection": "close"})

    def accepts(self, status: int, body: bytes) -> bool:
        return 100 <= status < 300

    def waits(self, attempt: int, status: int) -> float | None:
        if attempt >= len(WAITS):
            return None
        final = attempt == len(WAITS) - 1
        return None if final and status != 499 and not 500 <= status < 600 else WAITS[attempt]

    def took(self, hook: Hook, ok: bool, moment: float) -> None:
        if ok:
            return
        hook.failures = [at for at in hook.failures if at > moment - INVALID_SECONDS] + [moment]
        if len(hook.failures) > MOST_INVALID:
            hook.status = "disabled"

    # The API's view.

    def posted(self, url: str, settings: list[str], sort: int) -> Hook:
        """A new address, or what an old one is to get from now on."""
        now = int(self.clock.now().timestamp())
        hook = next((hook for hook in self.hooks.values() if hook.url == url), None)
        if hook is None:
            hook = self.register(url, settings)
            hook.row = {"created_at": now, "created_by": ADMIN}
        elif self.switches["kommo.hook_again"] == "merge":
            hook.events |= frozenset(settings)
        else:
            hook.events = frozenset(settings)
        if self.switches["kommo.hook_enables"] == "yes":
            hook.status, hook.failures = "active", []
        hook.row |= {"updated_at": now, "sort": sort}
        return hook

    def row(self, hook: Hook) -> Record:
        when = {"created_at": 0, "updated_at": 0, "created_by": ADMIN, "sort": 1} | hook.row
        own: Record = {"id": hook.id, "destination": hook.url, "created_at": when["created_at"]}
        own |= {"updated_at": when["updated_at"], "account_id": ACCOUNT_ID, "created_by": when["created_by"]}
        own |= {"sort": when["sort"], "disabled": hook.status != "active"}
        return own | {"settings": sorted(hook.events or SETTINGS)}


def _derived(before: Thing | None, after: Thing | None) -> bool:
    """Nothing changed but what follows from other records."""
    if before is None or after is None or before is after:
        return False
    if (before.values, before.tags) != (after.values, after.tags):
        return False
    moved: set[Any] = {name for name in after.fields if before.fields.get(name) != after.fields[name]}
    return bool(moved) and moved <= DERIVED
