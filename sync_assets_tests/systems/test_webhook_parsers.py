"""Whatever a body holds, who sent it is judged and it is taken apart, without an exception and within its limits."""

import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sync_assets.systems import SYSTEMS
from sync_assets.webhook import number
from sync_assets_tests.systems.deliveries import ACCOUNTS, PUBLIC, account, delivery, endpoint

NAMES = [system.name for system in SYSTEMS]
ENDPOINTS = {name: endpoint(name) for name in NAMES}

WORDS = st.sampled_from(
    [
        "event", "data", "old", "changes", "id", "card_id", "card:update", "card:add", "updated", "action", "object",
        "type", "task", "post", "new", "objectId", "subscriptionType", "contact.merge", "mergedObjectIds", "occurredAt",
        "object.associationChange", "associationType", "ACTOR_TO_", "project", "update", "objectTypeId", "0-1",
    ]
)  # fmt: skip
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | WORDS | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS | st.text(max_size=5), inner, max_size=6),
    max_leaves=20,
)
PARTS = st.sampled_from(
    [
        "leads", "contacts", "task", "[", "]", "[update]", "[note]", "[0]", "[id]", "[type]", "=", "&", "%5B", "%5D",
        "%", "%E9", "+", "company", "1", "99999999999999999999", "[updated_at]", "account[id]", "event", "data[FIELDS]",
        "[ID]", "ONSALEORDERSAVED", "ts=", "auth[application_token]", "\u0000", "é", "[][id]", "[element_id]",
    ]
)  # fmt: skip
BODIES = (
    st.binary(max_size=200)
    | VALUES.map(lambda value: json.dumps(value).encode())
    | VALUES.map(lambda value: json.dumps([value, value]).encode("utf-8", "replace")[:-3])
    | st.lists(PARTS, max_size=30).map(lambda parts: "".join(parts).encode())
)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=150)
@given(body=BODIES, header=st.text(max_size=40), path=st.text(max_size=20))
@example(body=b"[" * 100_000, header="", path="")
@example(body=b'{"event":"card:update","data":{"old":{"id":1e999},"changes":{"version":1e999}}}', header="", path="")
@example(body=b'[{"subscriptionType":"contact.creation","objectId":1,"occurredAt":9e18}]', header="", path="")
@example(
    body=b'[{"subscriptionType":"contact.creation","objectId":1,"occurredAt":9223372036854775807}]', header="", path=""
)
@example(body=b"leads[update][0][id]=1&leads[update][0][updated_at]=999999999999", header="", path="")
@example(
    body=b'{"event":"card:add","data":{"id":123456789012345678901234567890,"updated":"0000-13-45"}}', header="", path=""
)
@example(body='{"event":"card:add","data":{"id":"١"}}'.encode(), header="", path="")
def test_no_body_and_no_header_makes_it_raise_w7(name: str, body: bytes, header: str, path: str) -> None:
    sent = dict.fromkeys(
        ("authorization", "x-hubspot-signature-v3", "x-hubspot-request-timestamp", "x-hubspot-signature"), header
    )
    called = delivery(body, f"{PUBLIC}/webhooks/{name}/{path}", headers=sent)
    assert ENDPOINTS[name].authentic(called) is False
    entities = {entity.name: entity for entity in account(name).entities}
    for event in ENDPOINTS[name].events(called):
        assert event.entity in entities or event.entity == ""
        assert not (event.problem and event.entity), "what has a problem leads nowhere"
        assert not event.key or (event.key.isascii() and event.key.isdigit())
        assert not event.entity or event.name
        assert event.identity and len(event.payload) <= 8192


@pytest.mark.parametrize("id", ["", "x", "-1", "1.5", "١", "²", "1" * 20, None, True, 1.0, "1\n"])
def test_an_id_that_is_no_number_is_none(id: object) -> None:
    assert number(id) == "" and number(17) == number("17") == "17"


@pytest.mark.parametrize("name", NAMES)
def test_every_hint_is_of_the_forms_that_a_vendor_sends_and_leads_to_an_entity(name: str) -> None:
    found = [hint for entity in account(name).entities for hint in entity.hints]
    assert found and account(name).system.registration is not None
    assert {*account(name).system.registration.events} <= {*found}  # type: ignore[union-attr]


def test_each_account_has_an_address_of_its_own() -> None:
    emea = {name.replace("KAITEN_", "KAITEN_EMEA_"): value for name, value in ACCOUNTS.items() if "KAITEN" in name}
    second = account("kaiten_emea", **emea, KAITEN_EMEA_WEBHOOK_SECRET="canary-emea-0123456789-zyxwv")
    (address,) = (e.path(second.name) for e in second.endpoints)
    assert address == "/webhooks/kaiten_emea/canary-emea-0123456789-zyxwv"
