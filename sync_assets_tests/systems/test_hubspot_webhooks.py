"""HubSpot's webhooks: signatures of three versions, and what each event leads to."""

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from sync_assets.systems.hubspot.webhooks import Signatures
from sync_assets.webhook import Delivery
from sync_assets_tests.systems.deliveries import PUBLIC, RECEIVED, SECRETS, about, account, delivery, endpoint, events

URL = f"{PUBLIC}/webhooks/hubspot"
SECRET = SECRETS["HUBSPOT_WEBHOOK_SECRET"].encode()
BODY = b'[{"subscriptionType":"contact.creation","objectId":123,"eventId":1,"occurredAt":1767261600000}]'


def v3(
    *,
    secret: bytes = SECRET,
    age: float = 0.0,
    body: bytes = BODY,
    url: str = URL,
    algorithm: str = "sha256",
    stamp: str | None = None,
) -> dict[str, str]:
    stamp = str(round((RECEIVED.timestamp() - age) * 1000)) if stamp is None else stamp
    signed = hmac.new(secret, b"POST" + url.encode() + body + stamp.encode(), algorithm).digest()
    return {
        "x-hubspot-signature-v3": base64.b64encode(signed).decode(),
        "x-hubspot-request-timestamp": stamp,
    }


def v1(secret: bytes = SECRET, body: bytes = BODY) -> dict[str, str]:
    signature = hashlib.sha256(secret + body).hexdigest()
    return {"x-hubspot-signature": signature, "x-hubspot-signature-version": "v1"}


def authentic(headers: dict[str, str], *, url: str = URL, body: bytes = BODY, **env: str) -> bool:
    return endpoint("hubspot", **env).authentic(delivery(body, url, headers=headers))


def test_the_known_answers_of_all_versions_count(shared: Path) -> None:
    told = json.loads((shared / "hubspot/signature_vectors.json").read_text())
    assert {vector["version"] for vector in told["vectors"]} == {"v1", "v2", "v3"}
    signatures = Signatures(told["client_secret"], older=True)
    for vector in told["vectors"]:
        version, stamp = vector["version"], vector["timestamp"] or "0"
        headers = (
            {"x-hubspot-signature-v3": vector["expected"], "x-hubspot-request-timestamp": stamp}
            if version == "v3"
            else {"x-hubspot-signature": vector["expected"], "x-hubspot-signature-version": version}
        )
        said = Delivery(
            vector["uri"] or "", headers, vector["body"].encode(), moment(stamp), vector["method"] or "POST"
        )
        assert signatures(said), vector
        assert not signatures(Delivery(said.url, headers, said.body + b" ", said.received, said.method)), vector
    assert signatures.used == {"v1": 2, "v2": 3, "v3": 2}


def moment(milliseconds: str) -> datetime:
    return datetime.fromtimestamp(int(milliseconds) / 1000, UTC)


def test_a_signature_of_version_3_counts_w2() -> None:
    assert authentic(v3())


FORGED = {
    "no header": {},
    "another secret": v3(secret=b"another"),
    "another body": v3(body=BODY + b" "),
    "another address": v3(url=f"{PUBLIC}/webhooks/hubspot_emea"),
    "cut": {**v3(), "x-hubspot-signature-v3": v3()["x-hubspot-signature-v3"][:-4]},
    "empty": {**v3(), "x-hubspot-signature-v3": ""},
    "another algorithm": v3(algorithm="sha1"),
    "hex": {**v3(), "x-hubspot-signature-v3": base64.b64decode(v3()["x-hubspot-signature-v3"]).hex()},
    "no timestamp": {"x-hubspot-signature-v3": v3()["x-hubspot-signature-v3"]},
    "a timestamp of another time": {**v3(), "x-hubspot-request-timestamp": v3(age=1)["x-hubspot-request-timestamp"]},
    "no number": v3(stamp="now"),
    "numbers of another script": v3(stamp="١٧٦٧٢٦١٦٠٠٠٠٠"),
    "no text": {**v3(), "x-hubspot-signature-v3": "\udcff\x00"},
    "version 1 alone": v1(),
    "a good version 1 beside a bad version 3": {**v1(), **v3(secret=b"another")},
}


@pytest.mark.parametrize("forged", FORGED)
def test_anything_else_does_not_w2(forged: str) -> None:
    assert not authentic(FORGED[forged])
    if forged != "version 1 alone":
        assert not authentic(FORGED[forged], HUBSPOT_WEBHOOK_V1="yes")


def test_version_1_counts_where_that_is_allowed_w2() -> None:
    assert authentic(v1(), HUBSPOT_WEBHOOK_V1="yes")
    assert not authentic(v1(secret=b"another"), HUBSPOT_WEBHOOK_V1="yes")
    assert not authentic({**v1(), "x-hubspot-signature-version": "v4"}, HUBSPOT_WEBHOOK_V1="yes")
    assert not authentic({"x-hubspot-signature": ""}, HUBSPOT_WEBHOOK_V1="yes")


def test_without_the_secret_there_is_no_endpoint_w2() -> None:
    assert not account("hubspot", HUBSPOT_WEBHOOK_SECRET="").endpoints


@pytest.mark.parametrize(
    ("age", "counts"), [(0, True), (299, True), (300, True), (301, False), (-59, True), (-61, False), (10**7, False)]
)
def test_a_signature_counts_for_five_minutes_w3(age: float, counts: bool) -> None:
    assert authentic(v3(age=age)) is counts


def event(name: str, **more: Any) -> dict[str, Any]:
    return {
        "eventId": 7, "subscriptionId": 12, "portalId": 62515, "appId": 5, "occurredAt": 1767261600000,
        "subscriptionType": name, "attemptNumber": 0, "objectId": 123, "changeSource": "CRM", "sourceId": "userId:9",
        **more,
    }  # fmt: skip


LEADS_TO = [
    (event("contact.creation", changeFlag="NEW"), [("contacts", "123")]),
    (event("contact.propertyChange", propertyName="phone", propertyValue="canary"), [("contacts", "123")]),
    (event("deal.deletion"), [("deals", "123"), ("deal_associations", "123")]),
    (event("contact.restore"), [("contacts", "123"), ("contact_associations", "123")]),
    (event("contact.privacyDeletion"), [("contacts", "123")]),
    (event("object.creation", objectTypeId="0-48"), [("calls", "123")]),
    (event("object.propertyChange", objectTypeId="0-1", propertyName="x"), [("contacts", "123")]),
    (event("object.propertyChange", objectTypeId="0-2", propertyName="x"), [("", "")]),
    (event("object.propertyChange", propertyName="x"), [("", "")]),
    (event("company.creation"), [("", "")]),
    (event("conversation.newMessage"), [("", "")]),
    (
        event("contact.merge", objectId=9, primaryObjectId=1, mergedObjectIds=[2, 3], newObjectId=9),
        [("contacts", k) for k in "9123"] + [("contact_associations", k) for k in "9123"],
    ),
    (
        event(
            "contact.associationChange", objectId=None, associationType="CONTACT_TO_DEAL", fromObjectId=1, toObjectId=2
        ),
        [("contact_associations", "1")],
    ),
    (
        event("contact.associationChange", associationType="CONTACT_TO_COMPANY", fromObjectId=1, toObjectId=2),
        [("", "")],
    ),
    (
        event("object.associationChange", fromObjectTypeId="0-48", toObjectTypeId="0-1", fromObjectId=5, toObjectId=2),
        [("call_associations", "5")],
    ),
]


@pytest.mark.parametrize(("told", "leads_to"), LEADS_TO, ids=lambda v: v["subscriptionType"] if "eventId" in v else "")
def test_what_an_event_leads_to(told: dict[str, Any], leads_to: list[tuple[str, str]]) -> None:
    found = events("hubspot", json.dumps([told]))
    assert [(e.entity, e.key) for e in found] == leads_to
    for e in found:
        assert e.name == told["subscriptionType"] and e.unique and not e.problem
        assert e.at == RECEIVED.replace(month=1) + timedelta(hours=-2)
        assert b"canary" not in e.payload and b"userId" not in e.payload and b"propertyValue" not in e.payload
    assert len({e.identity for e in found}) == len(found)


def test_the_old_name_of_the_type_is_read_too() -> None:
    told = event("contact.creation")
    told["eventType"] = told.pop("subscriptionType")
    assert about(events("hubspot", json.dumps([told]))) == [("contact.creation", "contacts", "123")]


def test_a_retry_is_the_same_event_and_another_change_is_not_w1() -> None:
    first, retry = event("deal.creation"), event("deal.creation", attemptNumber=3)
    others = [
        event("deal.creation", occurredAt=1767261600001),
        event("deal.creation", eventId=8),
        event("deal.creation", objectId=124),
        event("deal.propertyChange", propertyName="a"),
        event("deal.propertyChange", propertyName="b"),
    ]
    found = events("hubspot", json.dumps([first, retry, *others]))
    assert found[0].identity == found[1].identity
    assert len({e.identity for e in found}) == 1 + len(others)


@pytest.mark.parametrize(
    "bad",
    [b"1", b"null", b'"text"', b"[]", b'{"objectId":{}}', b'{"occurredAt":"x"}', b'{"a":"\\ud800"}', b'{"a":"\xff"}'],
)
def test_one_bad_event_does_not_cost_the_other_99_w7(bad: bytes) -> None:
    good = [json.dumps(event("contact.creation", objectId=n)).encode() for n in range(99)]
    found = events("hubspot", b"[" + b",".join([*good[:50], bad, *good[50:]]) + b"]")
    kept = [e.key for e in found if e.entity == "contacts"]
    assert kept == [str(n) for n in range(99)]
    (rejected,) = (e for e in found if e.entity != "contacts")
    assert rejected.problem and (not rejected.payload or rejected.identity)


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"[" * 30_000, b'[{"subscriptionType":"contact.creation"}]'])
def test_what_cannot_be_read_is_kept_with_the_reason_w7(body: bytes) -> None:
    (found,) = events("hubspot", body)
    assert found.problem and not found.entity and len(found.payload) <= 4096
