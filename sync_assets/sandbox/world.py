"""The company as a whole: one clock, one seed, one lock, and a dialect for each system it uses.

The non-obvious decision: every behaviour that the facts leave open is a named switch with the likelier
default, kept here in one table, so that the product can be shown to hold either way.
"""

import random
import threading
from pathlib import Path

from sync_assets.sandbox.bitrix.api import Bitrix
from sync_assets.sandbox.bitrix.company import BitrixCompany
from sync_assets.sandbox.clock import Clock
from sync_assets.sandbox.dialect import Record, RefusedError, System, decode
from sync_assets.sandbox.hubspot.api import HubSpot
from sync_assets.sandbox.hubspot.company import HubSpotCompany
from sync_assets.sandbox.kaiten.api import Kaiten
from sync_assets.sandbox.kaiten.company import KaitenCompany
from sync_assets.sandbox.kommo.api import Kommo
from sync_assets.sandbox.kommo.company import KommoCompany
from sync_assets.sandbox.worksection.api import Worksection
from sync_assets.sandbox.worksection.company import WorksectionCompany

SIZES = ("tiny", "demo", "bench")

SWITCHES = {
    "webhooks.speed": "1",  # by what the vendors' waits between two attempts are divided
    "kaiten.reset": "epoch",  # X-RateLimit-Reset: epoch | seconds
    "kaiten.throttle_body": "message",  # body of a 429: message | empty
    "kaiten.missing_card": "403",  # empty 403 (seen live) | 404
    "kaiten.writes": "200",  # 200 with the record | empty: 200 with an empty body
    "kaiten.tag_updates": "no",  # tags and members of a card are a card:update beside their own event: no | yes
    "kaiten.hook_retries": "0",  # of a webhook that was not taken
    "worksection.throttle": "json",  # json: HTTP 200 with an error | 429: HTTP 429 and Retry-After
    "worksection.cap": "10000",  # most records in one answer
    "worksection.skew": "300",  # seconds the HMAC stamp may be off
    "worksection.utc_offset": "0",  # hours between UTC and the account's local time
    "worksection.hook_page": "task",  # of a webhook's object: task (/task/ID/, as in production) | project (documented)
    "worksection.hook_check": "array",  # body of the call that tries a new address: array (empty) | empty
    "worksection.hook_batch": "1",  # most events in one body
    "worksection.child_tags": "yes",  # tags of children in get_tasks: yes | no
    "hubspot.contacts": "",  # how many, instead of the size's own; so deals and calls
    "hubspot.deals": "",
    "hubspot.calls": "",
    "hubspot.properties": "40",  # of a contact; 400 is a real portal of today
    "hubspot.empty": "",  # share of them that is null, instead of 0.4 (0.85 from 100 properties on)
    "hubspot.ids": "eras",  # eras: small old ids, then ten digits, then twelve | even
    "hubspot.after": "id",  # cursor of lists: id of the next record | last: id of the last one | opaque
    "hubspot.order": "numeric",  # of lists: numeric | lexicographic
    "hubspot.short_pages": "no",  # yes: pages short of their limit, with more to come
    "hubspot.limit": "400",  # a list's limit above 100: 400 | cap
    "hubspot.url": "yes",  # records have `url`, new since 2025: yes | no
    "hubspot.url_bytes": "8000",  # longest URL that is not answered with 414
    "hubspot.gzip": "yes",  # for whoever accepts it: yes | no
    "hubspot.index_lag": "0",  # seconds until search sees a change
    "hubspot.search_cap": "10000",  # most results of one search
    "hubspot.cap_edge": "400",  # a last page that reaches over the cap: 400 | cut
    "hubspot.search_429": "plain",  # body of a search's 429: plain (recorded) | policy (SECONDLY)
    "hubspot.interval_ms": "10000",  # of the rolling burst window; the rate stays the same
    "hubspot.daily": "625000",  # the account's calls a day; 0: no limit
    "hubspot.merge": "new",  # a merge's survivor: new id | keep the primary's
    "hubspot.merged_archived": "no",  # merged-away ids are in archived=true: yes | no
    "hubspot.merged_batch": "drop",  # merged-away id in batch/read: drop | alias | error
    "hubspot.restore": "silent",  # a restored record's last-modified: silent | touch
    "hubspot.inline_associations": "100",  # most in one inline list
    "hubspot.association_page": "500",  # most of one record in an association batch
    "hubspot.signatures": "v1,v3",  # of webhooks
    "hubspot.hook_types": "classic",  # classic (contact.*, deal.*; object.* for calls) | object (object.* for all)
    "hubspot.hook_batch": "100",  # most events in one body
    "hubspot.to_object_id": "number",  # toObjectId: number (documented) | string (specified)
    "kommo.leads": "",  # how many, instead of the size's own; people and tasks follow
    "kommo.era": "now",  # keys of records: now | 2020 (as recorded)
    "kommo.numeric": "mixed",  # values of numeric custom fields: mixed | string | number
    "kommo.touch": "delete,links,merge,restore,tags",  # what moves `updated_at` beside own fields; also: tasks
    "kommo.missing": "204",  # a record by id that is not there: 204 | 404
    "kommo.deleted_by_id": "missing",  # one in the recycle bin, by id: missing | row
    "kommo.deleted_row": "thin",  # a row of `with=only_deleted`: thin | nulls
    "kommo.merge": "silent",  # a merged-away record's own event: silent (entity_merged alone) | deleted
    "kommo.limit": "cap",  # a limit above the most: cap | 400
    "kommo.event_limit": "250",  # most events on a page: 250 (Kommo) | 100 (amocrm.ru)
    "kommo.next": "exact",  # link to a next page: exact | full (after every full page, even the last)
    "kommo.order": "id",  # of lists nobody ordered: id | newest
    "kommo.event_order": "newest",  # of events: newest | oldest
    "kommo.bounds": "inclusive",  # of filter[...][from|to]: inclusive | exclusive
    "kommo.unknown_filter": "ignore",  # ignore | 400
    "kommo.created_filter": "works",  # filter[created_at] of contacts: works | ignored
    "kommo.throttle_body": "text",  # body of a 429: text | html | empty | json
    "kommo.hook_era": "now",  # bodies of webhooks: now | 2016 (as recorded)
    "kommo.hook_status": "both",  # a lead that changes its stage: both (update and status) | status
    "kommo.hook_tasks": "always",  # task[update] goes to whoever has a task setting: always | listed (only update_task)
    "kommo.hook_batch": "10",  # most events in one body
    "kommo.hook_again": "replace",  # settings of an address that is posted again: replace | merge
    "kommo.hook_enables": "no",  # posting it again switches a disabled one on: no | yes
    "kommo.retry_after": "no",  # with a 429: no | yes
    "kommo.block_after": "30",  # breaches in a minute that are forgiven; 0: any number
    "kommo.block_seconds": "600",  # how long the block lasts; 0: until it is lifted
    "kommo.access_seconds": "86400",  # life of an access token
    "kommo.refresh_days": "90",  # life of a refresh token
    "kommo.old_access": "lives",  # the access token before a refresh: lives | dies
    "kommo.wrong_domain": "401",  # another account's host: 401 | 404
    "bitrix.orders": "",  # how many, instead of the size's own
    "bitrix.orphans": "",  # how many of them point at people or goods that no list shows; empty: nearly all
    "bitrix.zone": "Europe/Moscow",  # the portal's, of every date
    "bitrix.burst": "50",  # requests that the leaky bucket holds
    "bitrix.operating_cost": "0",  # seconds of run time that each call is charged with
    "bitrix.operating_limit": "480",  # of them for one method in ten minutes; 0: none (on premises)
    "bitrix.error_time": "no",  # OPERATION_TIME_LIMIT carries `time` with operating_reset_at: no | yes
    "bitrix.https": "no",  # yes: this connection is refused, as it is not https
    "bitrix.credentials_status": "401",  # of a wrong secret: 401 | 403
    "bitrix.scope_status": "403",  # of a missing scope: 403 | 401
    "bitrix.start": "page",  # start between two pages: page (back to a multiple of 50) | exact
    "bitrix.uncounted": "yes",  # start=-1 switches counting off: yes | no (it is 0)
    "bitrix.dated": "yes",  # filters know dateUpdate and timestampX: yes | no (nor does getFields) | drop (it says so)
    "bitrix.int_lists": "in",  # a list given for a whole number: in | one ((int)array is 1, as in one source)
    "bitrix.batch_length": "errors",  # a 51st command: errors (of its own, seen in the source) | 400 (documented)
    "bitrix.unresolved": "empty",  # a $result path that leads nowhere: empty text | reached (as far as it led)
    "bitrix.buyers": "hidden",  # shop users in user.get: hidden | listed
    "bitrix.inactive": "listed",  # products that are not active, in lists: listed | hidden
    "bitrix.user_stamps": "object",  # TIMESTAMP_X and LAST_ACTIVITY_DATE: object ({}) | site | absent
    "bitrix.user_secrets": "yes",  # user rows carry PASSWORD and CHECKWORD, recognisable ones: yes | no
    "bitrix.payment_touches": "yes",  # a payment or shipment saved moves its order's dateUpdate: yes | no
    "bitrix.hook_user": "six",  # the buyer in what the shop's handler posts: six (fields) | all (hashes, too)
    "bitrix.hook_stamp": "epoch",  # webhook_timestamp of it: epoch | iso
    "bitrix.price_touches": "no",  # a new price moves its product's timestampX: no | yes
}


class World:
    def __init__(
        self,
        seed: int = 1,
        size: str = "tiny",
        cards: int | None = None,
        replay: Path | None = None,
        switches: dict[str, str] | None = None,
    ) -> None:
        if size not in SIZES:
            raise RefusedError(f"no size {size!r}; known: {', '.join(SIZES)}")
        if unknown := (switches or {}).keys() - SWITCHES.keys():
            raise RefusedError(f"no switch {sorted(unknown)}; known: {', '.join(SWITCHES)}")
        self.seed, self.size = seed, size
        self.clock, self.lock = Clock(), threading.RLock()
        self.switches = SWITCHES | (switches or {})
        self._kaiten = Kaiten(self._dice("kaiten"), self.clock, self.lock, self.switches, size, cards, replay)
        self._worksection = Worksection(self._dice("worksection"), self.clock, self.lock, self.switches, size)
        self._hubspot = HubSpot(self._dice("hubspot"), self.clock, self.lock, self.switches, size)
        self._kommo = Kommo(self._dice("kommo"), self.clock, self.lock, self.switches, size)
        self._bitrix = Bitrix(self._dice("bitrix"), self.clock, self.lock, self.switches, size)
        known: tuple[System, ...] = (self._kaiten, self._worksection, self._hubspot, self._kommo, self._bitrix)
        self.systems: dict[str, System] = {system.name: system for system in known}
        self._steps = 0

    @property
    def kaiten(self) -> KaitenCompany:
        return self._kaiten.company

    @property
    def worksection(self) -> WorksectionCompany:
        return self._worksection.company

    @property
    def hubspot(self) -> HubSpotCompany:
        return self._hubspot.company

    @property
    def kommo(self) -> KommoCompany:
        return self._kommo.company

    @property
    def bitrix(self) -> BitrixCompany:
        return self._bitrix.company

    def _dice(self, purpose: str) -> random.Random:
        return random.Random(f"{self.seed} {purpose}")

    def system(self, name: str) -> System:
        if name not in self.systems:
            raise RefusedError(f"no system {name!r}; known: {', '.join(self.systems)}")
        return self.systems[name]

    def truth_rows(self, system: str, entity: str) -> list[bytes]:
        with self.lock:
            return self.system(system).truth(entity)

    def truth(self, system: str, entity: str) -> list[Record]:
        return [decode(row) for row in self.truth_rows(system, entity)]

    def advance(self, steps: int = 1) -> None:
        """The company lives: each step changes something in every system, the same for the same seed."""
        for _ in range(steps):
            self._steps += 1
            for name, system in self.systems.items():
                with self.lock:
                    system.live(self._dice(f"{name} step {self._steps}"))
