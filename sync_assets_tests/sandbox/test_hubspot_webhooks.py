"""HubSpot's webhooks: arrays of a hundred, two signatures held against known answers, eleven attempts in a day."""

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sync_assets.sandbox.hubspot.company import HubSpotCompany
from sync_assets.sandbox.hubspot.webhooks import v1, v3
from sync_assets.sandbox.server import Sandbox
from sync_assets_tests.sandbox.conftest import UNLIMITED
from sync_assets_tests.sandbox.receiver import Arrived, Receiver

SECRET = "yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy"
ALWAYS = {
    "eventId", "subscriptionId", "portalId", "appId", "occurredAt", "subscriptionType", "attemptNumber",
    "changeSource", "sourceId",
}  # fmt: skip


@pytest.fixture
def hubspot(sb: Sandbox, receiver: Receiver) -> Iterator[HubSpotCompany]:
    sb.webhooks.register("hubspot", receiver.url, secret=SECRET)
    yield sb.world.hubspot


def told(sb: Sandbox, receiver: Receiver) -> list[dict[str, Any]]:
    sb.webhooks.settled()
    events = [event for one in receiver.arrived for event in one.json()]
    receiver.arrived.clear()
    return events


def test_signatures_are_those_of_the_known_answers(shared: Path) -> None:
    known = json.loads((shared / "hubspot/signature_vectors.json").read_text())
    assert len(known["vectors"]) == 7
    for vector in known["vectors"]:
        body = vector["body"].encode()
        if vector["version"] == "v1":
            assert v1(known["client_secret"], body) == vector["expected"]
        elif vector["version"] == "v3":
            given = (vector["method"], vector["uri"], body, vector["timestamp"])
            assert v3(known["client_secret"], *given) == vector["expected"]


def signed(one: Arrived, url: str) -> tuple[str, str]:
    """Both signatures of what arrived, reckoned here."""
    stamp = one.headers["x-hubspot-request-timestamp"]
    message = b"POST" + url.encode() + one.body + stamp.encode()
    mac = hmac.new(SECRET.encode(), message, hashlib.sha256).digest()
    return hashlib.sha256(SECRET.encode() + one.body).hexdigest(), base64.b64encode(mac).decode()


def test_a_letter_is_signed_twice_over_its_raw_body(sb: Sandbox, receiver: Receiver, hubspot: HubSpotCompany) -> None:
    hubspot.update("contacts", hubspot.shelves["contacts"].ids[0], firstname="Zoë 😀")
    sb.webhooks.settled()
    (one,) = receiver.arrived
    plain, keyed = signed(one, receiver.url)
    assert (one.headers["x-hubspot-signature"], one.headers["x-hubspot-signature-version"]) == (plain, "v1")
    assert one.headers["x-hubspot-signature-v3"] == keyed


@pytest.mark.parametrize("only", ["v1", "v3"])
def test_either_signature_may_be_missing(receiver: Receiver, only: str) -> None:
    with Sandbox(rates=UNLIMITED, switches={"hubspot.signatures": only}) as sb:
        sb.webhooks.register("hubspot", receiver.url, secret=SECRET)
        sb.webhooks.burst("hubspot", 1, 1)
        sb.webhooks.settled()
    names = {"x-hubspot-signature": "v1", "x-hubspot-signature-v3": "v3", "x-hubspot-request-timestamp": "v3"}
    assert {name for name in names if name in receiver.arrived[0].headers} == {n for n, v in names.items() if v == only}


def test_each_edit_is_told_as_documented(sb: Sandbox, receiver: Receiver, hubspot: HubSpotCompany) -> None:
    contact = hubspot.create("contacts", firstname="New")
    (event,) = told(sb, receiver)
    assert event.keys() == ALWAYS | {"objectId", "changeFlag"}
    assert (event["subscriptionType"], event["objectId"], event["changeFlag"]) == ("contact.creation", contact, "NEW")
    hubspot.update("contacts", contact, firstname="Newer", lastname="Too")
    changed = told(sb, receiver)
    assert {(e["propertyName"], e["propertyValue"]) for e in changed} == {("firstname", "Newer"), ("lastname", "Too")}
    assert len({e["subscriptionId"] for e in changed}) == 2
    hubspot.stamp_all("contacts", [contact])
    assert told(sb, receiver) == [], "of the last-modified property nobody can be told"
    hubspot.archive("contacts", contact)
    hubspot.restore("contacts", contact)
    hubspot.gdpr_delete(contact)
    names = ["contact.deletion", "contact.deletion", "contact.privacyDeletion", "contact.restore"]
    assert sorted(e["subscriptionType"] for e in told(sb, receiver)) == names


def test_an_association_is_told_once_from_each_side(sb: Sandbox, receiver: Receiver, hubspot: HubSpotCompany) -> None:
    contact = hubspot.create("contacts", firstname="x")
    deal = hubspot.shelves["deals"].ids[0]
    told(sb, receiver)
    for removed in (False, True):
        (hubspot.dissociate if removed else hubspot.associate)("deals", deal, "contacts", contact)
        one, two = told(sb, receiver)
        ends = {(e["associationType"], e["fromObjectId"], e["toObjectId"]) for e in (one, two)}
        assert ends == {("DEAL_TO_CONTACT", deal, contact), ("CONTACT_TO_DEAL", contact, deal)}
        assert {e["subscriptionType"] for e in (one, two)} == {"contact.associationChange", "deal.associationChange"}
        assert one["associationRemoved"] is two["associationRemoved"] is removed and "objectId" not in one


def test_a_merge_names_whom_it_made_of_whom(sb: Sandbox, receiver: Receiver, hubspot: HubSpotCompany) -> None:
    first, second = hubspot.shelves["contacts"].ids[:2]
    survivor = hubspot.merge("contacts", first, second)
    (event,) = told(sb, receiver)
    assert event["subscriptionType"] == "contact.merge" and event["numberOfPropertiesMoved"] >= 0
    assert (event["primaryObjectId"], event["mergedObjectIds"], event["newObjectId"]) == (first, [second], survivor)


def test_calls_come_as_objects_with_their_type(sb: Sandbox, receiver: Receiver, hubspot: HubSpotCompany) -> None:
    call = hubspot.create("calls", hs_call_title="x")
    hubspot.archive("calls", call)
    made, gone = sorted(told(sb, receiver), key=lambda e: e["subscriptionType"])
    assert (made["subscriptionType"], gone["subscriptionType"]) == ("object.creation", "object.deletion")
    assert made["objectTypeId"] == gone["objectTypeId"] == "0-48" and made["objectId"] == call
    sb.world.switches["hubspot.hook_types"] = "object"
    hubspot.create("contacts", firstname="x")
    (event,) = told(sb, receiver)
    assert (event["subscriptionType"], event["objectTypeId"]) == ("object.creation", "0-1")


def test_a_letter_has_a_hundred_events_at_most(sb: Sandbox, receiver: Receiver, hubspot: HubSpotCompany) -> None:
    with sb.webhooks.holding():
        sb.webhooks.burst("hubspot", 230, 20)
    sb.webhooks.settled()
    assert sorted(len(one.json()) for one in receiver.arrived) == [30, 100, 100]


def test_ten_retries_fill_a_day_each_signed_afresh(sb: Sandbox, receiver: Receiver, hubspot: HubSpotCompany) -> None:
    receiver.answer = (503, b"")
    vendor = sb.webhooks.vendor("hubspot")
    waits = [vendor.waits(attempt, 503) for attempt in range(11)]
    assert waits.pop() is None and waits == sorted(waits, key=float) and 75_000 < sum(map(float, waits)) < 97_000
    sb.webhooks.speed = 1e6
    sb.webhooks.burst("hubspot", 1, 1)
    sb.webhooks.settled()
    assert [one.json()[0]["attemptNumber"] for one in receiver.arrived] == list(range(11))
    for one in receiver.arrived:
        assert one.headers["x-hubspot-signature-v3"] == signed(one, receiver.url)[1]
    assert len({one.headers["x-hubspot-request-timestamp"] for one in receiver.arrived}) > 1


def test_event_ids_are_no_identity() -> None:
    with Sandbox(rates=UNLIMITED) as sb:
        vendor = sb.webhooks.vendor("hubspot")
        drawn = [vendor.invented("contact.deletion", "contacts", "1").body()["eventId"] for _ in range(5000)]
    assert len(set(drawn)) < len(drawn)
