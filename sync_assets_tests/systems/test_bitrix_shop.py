"""The shop's endpoint: whom it believes, what it makes of a body, and what of a person it lets through."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sync_assets.account import connected_accounts
from sync_assets.errors import MissingSetting
from sync_assets.systems import SYSTEMS
from sync_assets.systems.bitrix.pushed import PERSON, key_of, moment
from sync_assets.webhook import Event
from sync_assets_tests.systems.shop_hooks import NOW, SECRET, TOKEN, delivery, endpoint, events, told

RECORDED = Path(__file__).resolve().parents[3] / "shared/data/bitrix/php_order_webhook_shape.json"
HASH, CHECK = "$6$canary-b24-hash", "canary-b24-checkword"

# As CUser::GetList answers, whatever fields it was asked for.
USER_ROW = {
    "ID": "171001", "LOGIN": "user_70000000001", "PASSWORD": HASH, "CHECKWORD": CHECK, "CHECKWORD_TIME": "25.08.2025",
    "ACTIVE": "Y", "NAME": "Buyer", "LAST_NAME": "", "EMAIL": "buyer@example.test", "LAST_LOGIN": "25.08.2025 11:00:00",
    "DATE_REGISTER": "01.02.2025 10:20:30", "LID": "s1", "PERSONAL_PHONE": "+70000000001", "PERSONAL_PAGER": "",
    "STORED_HASH": HASH, "BX_USER_ID": CHECK, "CONFIRM_CODE": CHECK, "UF_TOKEN": CHECK, "LOGIN_ATTEMPTS": "0",
    "SECOND_NAME": None, "TIMESTAMP_X": "25.08.2025 11:58:00", "XML_ID": None, "~PASSWORD": HASH,
}  # fmt: skip


def kept(event: Event) -> str:
    """Everything of an event that goes further."""
    return f"{event!r} {event.payload.decode()} {event.record.decode()}"


# Whom it believes


def test_without_a_secret_there_is_no_endpoint() -> None:
    env = {"BITRIX_WEBHOOK_URL": "https://shop.example.test/rest/1/secret"}
    (account,) = connected_accounts(SYSTEMS, env)[0]
    assert "shop" not in [e.name for e in account.endpoints]
    (account,) = connected_accounts(SYSTEMS, {**env, "BITRIX_SHOP_SECRET": SECRET, "BITRIX_SHOP_TOKEN": TOKEN})[0]
    (found,) = [e for e in account.endpoints if e.name == "shop"]
    assert json.loads(found.answer) == {"status": "success"} and not found.secret
    assert {SECRET, TOKEN} <= set(account.settings.secrets())
    assert SECRET not in repr(account) and TOKEN not in repr(account)


def test_a_zone_that_is_none_is_a_setting_to_mend() -> None:
    env = {"BITRIX_WEBHOOK_URL": "https://shop.example.test/rest/1/secret", "BITRIX_SHOP_TIMEZONE": "Mars/Olympus"}
    with pytest.raises(MissingSetting, match="BITRIX_SHOP_TIMEZONE"):
        connected_accounts(SYSTEMS, env)


def test_w2_what_is_signed_is_believed() -> None:
    assert endpoint().authentic(delivery(told("order.update", ID="7")))


W2 = {
    "forged": lambda d: {"x-sync-signature": "sha256=" + "0" * 64},
    "missing": lambda d: {"x-sync-signature": None},
    "empty": lambda d: {"x-sync-signature": ""},
    "truncated": lambda d: {"x-sync-signature": d.headers["x-sync-signature"][:-1]},
    "no_algorithm": lambda d: {"x-sync-signature": d.headers["x-sync-signature"][7:]},
    "other_algorithm": lambda d: {"x-sync-signature": d.headers["x-sync-signature"].replace("sha256", "sha1")},
    "capitals": lambda d: {"x-sync-signature": d.headers["x-sync-signature"].upper()},
    "not_ascii": lambda d: {"x-sync-signature": "sha256=é\udc80"},
    "time_missing": lambda d: {"x-sync-timestamp": None},
    "time_moved": lambda d: {"x-sync-timestamp": str(int(d.headers["x-sync-timestamp"]) + 1)},
    "time_no_number": lambda d: {"x-sync-timestamp": "now"},
}


@pytest.mark.parametrize("token", ["", TOKEN])
@pytest.mark.parametrize("how", W2)
def test_w2_what_is_not_signed_rightly_is_refused(how: str, token: str) -> None:
    sound = delivery({**told("order.update", ID="7"), "token": "another"})
    headers = {name: value for name, value in ({**sound.headers, **W2[how](sound)}).items() if value is not None}
    assert not endpoint(token=token).authentic(replace(sound, headers=headers))


def test_w2_another_secret_and_another_body_are_refused() -> None:
    sound = delivery(told("order.update", ID="7"))
    assert not endpoint(secret="another").authentic(sound)
    assert not endpoint().authentic(replace(sound, body=sound.body.replace(b"7", b"8")))
    assert not endpoint(secret="", token=TOKEN).authentic(sound), "who signs is held to it"


@pytest.mark.parametrize(("late", "believed"), [(0, True), (299, True), (-299, True), (302, False), (-302, False)])
def test_w3_an_old_or_future_timestamp_is_refused(late: float, believed: bool) -> None:
    assert endpoint().authentic(delivery(told("order.update", ID="7"), late=late)) == believed


def test_w2_the_token_in_the_body_counts_where_it_is_set_and_reaches_nothing() -> None:
    body = {**told("order.update", ID="7", token=TOKEN), "token": TOKEN}
    unsigned = replace(delivery(body), headers={})
    assert endpoint(token=TOKEN).authentic(unsigned) and endpoint(secret="", token=TOKEN).authentic(unsigned)
    assert not endpoint().authentic(unsigned)
    for asked in (endpoint(), endpoint(token=TOKEN)):
        assert not asked.authentic(replace(delivery(told("order.update", ID="7")), headers={}))
    for wrong in (None, 7, "", [TOKEN], TOKEN + "x", "\ud800"):
        assert not endpoint(token=TOKEN).authentic(replace(delivery({**body, "token": wrong}), headers={}))
    assert not endpoint(token="None").authentic(replace(delivery({**body, "token": None}), headers={}))
    for broken in (b"", b"[]", b"{", b"[" * 100_000):
        assert not endpoint(token=TOKEN).authentic(replace(delivery(broken), headers={}))
    found = list(endpoint(token=TOKEN).events(unsigned))
    assert found and not [e for e in found if TOKEN in kept(e)]


# What it makes of a body


def test_an_order_is_a_hint_and_its_buyer_a_record() -> None:
    order, user = events(told("order.status_change", ID="122001", STATUS_ID="P", COMMENTS="secret wish", user=USER_ROW))
    assert (order.name, order.entity, order.key, order.record) == ("order.status_change", "orders", "122001", b"")
    assert order.at == NOW and order.unique and not order.problem
    assert json.loads(order.payload)["data"]["STATUS_ID"] == "P" and "wish" not in kept(order)
    assert (user.entity, user.key, user.identity != order.identity) == ("users", "171001", True)
    assert json.loads(user.record)["PERSONAL_PHONE"] == "+70000000001"


@pytest.mark.parametrize("event", [told("order.update", ID="7", user=USER_ROW), told("user.update", **USER_ROW)])
def test_of_a_person_only_the_named_parts_go_further(event: dict[str, Any]) -> None:
    for body in (event, {"events": [event, event]}, {**event, "PASSWORD": HASH}):
        found = events(body)
        (user, *_) = [e for e in found if e.entity == "users"]
        assert json.loads(user.record).keys() <= PERSON and json.loads(user.record)["EMAIL"] == "buyer@example.test"
        for one in found:
            assert HASH not in kept(one) and CHECK not in kept(one)


@pytest.mark.parametrize(
    "row",
    [
        {"ID": "7", "NAME": {"PASSWORD": HASH}},
        {"ID": "7", "NAME": [{"PASSWORD": HASH}]},
        {"ID": "7", "password": HASH, "PASSWORD ": HASH, " CHECKWORD": CHECK, "PASS\u0000WORD": HASH},
    ],
)
def test_no_spelling_of_a_secret_passes(row: dict[str, Any]) -> None:
    for one in events({"events": [told("order.update", ID="1", user=row), told("user.update", **row)]}):
        assert HASH not in kept(one) and CHECK not in kept(one)


def test_a_product_is_spelled_as_the_api_spells_it() -> None:
    event, price = events(
        told(
            "product.update", ID="590001", IBLOCK_ID="27", IBLOCK_SECTION_ID="11", NAME="Букет", ACTIVE="Y", SORT="500",
            QUANTITY="10.5000", TIMESTAMP_X="25.08.2025 12:00:00", DATE_CREATE="2025-08-01T10:00:00+05:00",
            PURCHASING_PRICE="1000.000000", SEARCHABLE_CONTENT="long", PRICES=[{"ID": "31", "PRICE": "7500.00"}],
            PROPERTIES={"COLOR": {"ID": "258", "VALUE": "red", "PROPERTY_VALUE_ID": "9735"},
                        "SIZES": {"ID": 259, "VALUE": ["S", "M"], "PROPERTY_VALUE_ID": ["9736", "9737"]},
                        "NAMELESS": {"VALUE": "x"}},
        ),
        zone="Asia/Almaty",
    )  # fmt: skip
    assert (event.entity, event.key) == ("products", "590001")
    assert json.loads(event.record) == {
        "id": 590001, "iblockId": 27, "iblockSectionId": 11, "name": "Букет", "active": "Y", "sort": 500,
        "quantity": "10.5000", "timestampX": "2025-08-25T07:00:00+00:00", "dateCreate": "2025-08-01T05:00:00+00:00",
        "purchasingPrice": "1000.000000", "property258": {"value": "red", "valueId": "9735"},
        "property259": [{"value": "S", "valueId": "9736"}, {"value": "M", "valueId": "9737"}],
    }  # fmt: skip
    assert (price.entity, price.key, price.record) == ("prices", "31", b"")


@pytest.mark.parametrize("kind", ["product", "user"])
def test_a_deletion_is_told_by_a_record_that_is_null(kind: str) -> None:
    (event,) = events(told(f"{kind}.delete", ID="7"))
    assert (event.entity, event.key, event.record) == (f"{kind}s", "7", b"null")


DATES = [
    ("1756105200", "2025-08-25T07:00:00+00:00", True),
    (1756105200, "2025-08-25T07:00:00+00:00", True),
    ("2025-08-25T12:00:00+05:00", "2025-08-25T07:00:00+00:00", True),
    ("2025-08-25T07:00:00Z", "2025-08-25T07:00:00+00:00", True),
    ("25.08.2025 12:00:00", "2025-08-25T07:00:00+00:00", False),
    ("25.08.2025 12:00", "2025-08-25T07:00:00+00:00", False),
    ("2025-08-25 12:00:00", "2025-08-25T07:00:00+00:00", False),
    ("2025-08-25T12:00:00", "2025-08-25T07:00:00+00:00", False),
]


@pytest.mark.parametrize(("text", "meant", "tells_zone"), DATES)
def test_every_date_that_shops_send_is_read(text: object, meant: str, tells_zone: bool) -> None:
    (event,) = events({"event": "order.update", "data": {"ID": "7", "DATE_UPDATE": text}}, zone="Asia/Almaty")
    assert event.at is not None and event.at.isoformat() == meant
    (event,) = events({"event": "order.update", "data": {"ID": "7", "DATE_UPDATE": text}})
    assert (event.at is not None) == tells_zone, "no zone is guessed"
    assert not event.unique, "it does not say when it was sent"


@pytest.mark.parametrize("text", ["", None, "31.02.2025 12:00:00", "tomorrow", [], {}, "9" * 400, "1e9", True])
def test_what_is_no_date_is_none(text: object) -> None:
    assert moment(text, NOW.tzinfo) is None


def test_w1_one_event_has_one_identity_and_two_have_two() -> None:
    body = told("order.update", ID="7", user=USER_ROW)
    assert [e.identity for e in events(body)] == [e.identity for e in events(body)]
    other = told("order.update", ID="7", user=USER_ROW, COMMENTS="what is not kept differs")
    assert not {e.identity for e in events(body)} & {e.identity for e in events(other)}


# W7: what is broken


def test_w7_of_a_hundred_events_a_bad_one_costs_itself() -> None:
    many: list[Any] = [told("order.update", ID=str(n)) for n in range(1, 101)]
    for bad in (None, 7, [], {}, {"event": "order.update"}, told("order.update"), told("order.update", ID="x")):
        many[49] = bad
        found = events({"events": many})
        assert [e.key for e in found if not e.problem] == [str(n) for n in range(1, 101) if n != 50]
        (refused,) = [e for e in found if e.problem]
        assert refused.entity == refused.key == "" and refused.identity


@pytest.mark.parametrize("bad", [b'{"a":}', b"{'a':1}", b'{"event": nul}', b"[" * 50_000 + b"]" * 50_000])
def test_w7_of_a_body_that_is_no_json_the_sound_events_go_on(bad: bytes) -> None:
    sound = [json.dumps(told("order.update", ID=str(n))).encode() for n in (1, 2)]
    found = events(b'{"events":[' + b",".join([sound[0], bad, sound[1]]) + b"]}")
    assert [(e.key, bool(e.problem)) for e in found] == [("1", False), ("", True), ("2", False)]


@pytest.mark.parametrize(
    "body", [b"", b"null", b"[]", b"7", b'"x"', b"{", b"\xff\xfe", b"event=order.update&data[ID]=7"]
)
def test_w7_a_body_that_is_none_is_one_event_with_its_problem(body: bytes) -> None:
    (event,) = events(body)
    assert event.problem and not event.entity and not event.record


def test_w7_latin_1_duplicate_keys_and_ten_thousand_keys() -> None:
    (event,) = events('{"event":"product.update","data":{"ID":"7","NAME":"Ros\u00e9"}}'.encode("latin-1"))
    assert json.loads(event.record) == {"id": 7, "name": "Ros\ufffd"}
    (event,) = events(b'{"event":"order.update","event":"order.update","data":{"ID":"7","ID":"8"}}')
    assert event.key == "8"
    (event,) = events(told("order.update", ID="7", **{f"K{n}": "x" for n in range(10_000)}))
    assert event.key == "7" and len(event.payload) < 200
    (event,) = events(b'{"event":"order.update","data":{"ID":7,"PRICE":' + b"9" * 5000 + b"}}")
    assert event.key == "7" and not event.problem
    (event,) = events(told("user.update", ID="7", NAME="a\u0000b\ud800"))
    assert json.loads(event.record)["ID"] == "7"


NAMES = st.text(max_size=5) | st.sampled_from(
    ["event", "data", "events", "ID", "user", "NAME", "DATE_UPDATE", "TIMESTAMP_X", "PROPERTIES", "PRICES", "QUANTITY"]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text() | st.sampled_from(["7", "Y", "25.08.2025"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)
BODIES = st.fixed_dictionaries(
    {"event": st.sampled_from(["order.update", "product.update", "user.update", "product.delete"]) | VALUES},
    optional={"data": st.dictionaries(NAMES, VALUES, max_size=6) | VALUES},
)


@settings(max_examples=150)
@given(st.binary(max_size=200) | st.one_of(BODIES, VALUES, st.fixed_dictionaries({"events": st.lists(BODIES)})))
def test_w7_no_body_raises_and_every_event_can_be_stored(body: object) -> None:
    for event in events(body, zone="Asia/Almaty"):
        assert event.problem or (event.entity and key_of({"ID": event.key}) == event.key)
        assert event.identity and event.payload.decode().isprintable()
        assert isinstance(json.loads(event.record or b"null"), dict | None)
        (event.name + event.problem).encode("ascii")


@pytest.mark.skipif(not RECORDED.exists(), reason="the recorded payloads are not beside the repository")
def test_the_recorded_shape_is_understood() -> None:
    body = json.loads(RECORDED.read_text())["body"]
    order, user = events({**body, "token": TOKEN})
    assert (order.entity, order.key, order.problem) == ("orders", "122001", "")
    assert order.at is not None and order.at.year == 2025
    assert user.key == "171001" and json.loads(user.record)["NAME"] == "Buyer"
    assert TOKEN not in kept(order) + kept(user)
