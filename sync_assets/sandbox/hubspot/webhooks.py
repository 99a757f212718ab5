"""HubSpot's webhooks: arrays of up to a hundred thin events, signed in two ways, tried eleven times in a day.

Promise: types, fields and signatures as documented; calls come as `object.*` with their type's number. An association
is told once from each side, an erasure twice (privacyDeletion and deletion). The non-obvious decision: `eventId` is
drawn from a small range, because the vendor says that it is not unique.
"""

import hashlib
import hmac
import random
import uuid
from base64 import b64encode
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from sync_assets.sandbox.dialect import Record, encode
from sync_assets.sandbox.hubspot.company import APP, PORTAL
from sync_assets.sandbox.hubspot.names import KINDS, Kind
from sync_assets.sandbox.webhooks.news import Heard
from sync_assets.sandbox.webhooks.vendor import Event, Hook, Letter, Said, Vendor

if TYPE_CHECKING:
    from sync_assets.sandbox.hubspot.api import HubSpot

# Of which nobody can be told.
SILENT = frozenset({"hs_lastmodifieddate", "lastmodifieddate", "num_unique_conversion_events"})
RETRIES, DAY = 10, 86_400
EVENT_IDS = 1_000_000


class HubSpotWebhooks(Vendor):
    name = "hubspot"
    secrets: ClassVar[tuple[str, ...]] = ("client_secret",)
    connections = 10

    def __init__(self, api: "HubSpot", switches: dict[str, str]) -> None:
        super().__init__(switches, api.clock, api.lock)
        self._api = api
        # Derived, not drawn: the portal's dice must not notice that it has webhooks.
        self._client_secret = str(uuid.uuid5(uuid.NAMESPACE_OID, api.credentials()["token"]))
        self._dice = random.Random(self._client_secret)

    def known(self) -> dict[str, str]:
        """The private app's client secret."""
        return {"client_secret": self._client_secret}

    # Events.

    def events(self, heard: list[Heard]) -> Iterable[Event]:
        for what, name, *rest in heard:
            kind = KINDS[name]
            match what:
                case "created":
                    yield self._event("creation", kind, rest[0], changeFlag="NEW")
                case "changed":
                    yield from self._changed(kind, *rest)
                case "deleted":
                    yield self._event("deletion", kind, rest[0])
                case "restored":
                    yield self._event("restore", kind, rest[0])
                case "erased":
                    yield self._event("privacyDeletion", kind, rest[0])
                    yield self._event("deletion", kind, rest[0])
                case "merged":
                    yield self._merged(kind, *rest)
                case "associated" | "dissociated":
                    yield from self._associated(what == "dissociated", kind, *rest)

    def _event(self, what: str, kind: Kind, id: int, **more: Any) -> Event:
        generic = kind.name == "calls" or self.switches["hubspot.hook_types"] == "object"
        type = f"{'object' if generic else kind.singular}.{what}"
        if generic:
            more["objectTypeId"] = kind.type_id
        head: Record = {"eventId": self._dice.randrange(1, EVENT_IDS), "portalId": PORTAL, "appId": APP}
        head |= {"occurredAt": int(self.clock.peek().timestamp() * 1000), "subscriptionType": type}
        head |= {"objectId": id, "changeSource": "CRM_UI", "sourceId": "userId:9586504"} | more
        return Event(type, kind.name, str(id), lambda: head)

    def _changed(self, kind: Kind, id: int, before: dict[str, str], after: dict[str, str]) -> Iterable[Event]:
        for name in sorted({*before, *after} - SILENT):
            if before.get(name) != after.get(name):
                value = after.get(name, "")
                yield self._event("propertyChange", kind, id, propertyName=name, propertyValue=value)

    def _merged(self, kind: Kind, id: int, primary: int, other: int, moved: int) -> Event:
        more = {"primaryObjectId": primary, "mergedObjectIds": [other], "newObjectId": id}
        return self._event("merge", kind, id, **more, numberOfPropertiesMoved=moved)

    def _associated(self, removed: bool, kind: Kind, id: int, to: str, other: int) -> Iterable[Event]:
        for one, number, far, end in ((kind, id, KINDS[to], other), (KINDS[to], other, kind, id)):
            type = f"{one.singular}_TO_{far.singular}".upper()
            ends = {"associationType": type, "fromObjectId": number, "toObjectId": end}
            event = self._event(
                "associationChange", one, number, **ends, associationRemoved=removed, isPrimaryAssociation=False
            )
            body = event.body()
            # Both ends say which record it is about.
            del body["objectId"]
            yield event

    def invented(self, name: str, entity: str, key: str) -> Event:
        kind = KINDS[entity or "contacts"]
        event = self._event(name.partition(".")[2] or name, kind, int(key))
        body = event.body() | {"subscriptionType": name}
        return Event(name, kind.name, key, lambda: body)

    # Letters.

    def batch(self) -> int:
        return int(self.switches["hubspot.hook_batch"])

    def letter(self, hook: Hook, said: Sequence[Said], attempt: int, moment: float) -> Letter:
        body = encode([_numbered(one.body, attempt) for one in said])
        return Letter(hook.url, body, self._headers(hook, body, str(int(moment * 1000))))

    def _headers(self, hook: Hook, body: bytes, stamp: str) -> dict[str, str]:
        headers = {"Content-Type": "application/json", "User-Agent": "HubSpot Connect 2.0 (http://dev.hubspot.com/)"}
        signatures = self.switches["hubspot.signatures"].split(",")
        secret = hook.secrets["client_secret"]
        if "v1" in signatures:
            headers |= {"X-HubSpot-Signature": v1(secret, body), "X-HubSpot-Signature-Version": "v1"}
        if "v3" in signatures:
            headers |= {"X-HubSpot-Signature-v3": v3(secret, "POST", hook.url, body, stamp)}
            headers["X-HubSpot-Request-Timestamp"] = stamp
        return headers

    def accepts(self, status: int, body: bytes) -> bool:
        return 0 < status < 400

    def waits(self, attempt: int, status: int) -> float | None:
        """Ten retries that fill a day, each wait twice the one before, give or take a tenth."""
        if attempt >= RETRIES:
            return None
        share: float = 2**attempt / (2**RETRIES - 1)
        return DAY * share * self._dice.uniform(0.9, 1.1)


def _numbered(body: Record, attempt: int) -> Record:
    """With its subscription, one for each type and property, and the number of the attempt."""
    about = f"{body['subscriptionType']} {body.get('propertyName', '')}"
    return body | {"subscriptionId": 1_000_000 + _hash(about), "attemptNumber": attempt}


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:3], "big")


def v1(secret: str, body: bytes) -> str:
    """A plain hash, no HMAC."""
    return hashlib.sha256(secret.encode() + body).hexdigest()


def v3(secret: str, method: str, url: str, body: bytes, stamp: str) -> str:
    message = b"".join((method.encode(), url.encode(), body, stamp.encode()))
    return b64encode(hmac.new(secret.encode(), message, hashlib.sha256).digest()).decode()
