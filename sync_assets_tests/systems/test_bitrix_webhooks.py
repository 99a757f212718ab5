"""Bitrix's events: the token that each bears, the documented forms, and what each leads to."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from sync_assets_tests.systems.deliveries import SECRETS, about, account, delivery, endpoint, events

TOKEN = SECRETS["BITRIX_APPLICATION_TOKEN"]
AUTH = {
    "auth[access_token]": "canary-access",
    "auth[refresh_token]": "canary-refresh",
    "auth[client_endpoint]": "https://trap.example.test/rest/",
    "auth[member_id]": "d897063e",
    "auth[application_token]": TOKEN,
}
SAVED = {"event": "ONSALEORDERSAVED", "event_handler_id": "1", "data[FIELDS][ID]": "300", "ts": "1714649632"}

LEADS_TO = {
    "ONSALEORDERSAVED": ("orders", "300"),
    "ONSALEBEFOREORDERDELETE": ("orders", "300"),
    "ONORDERENTITYSAVED": ("orders", "300"),
    "ONORDERDELETED": ("orders", "300"),
    "ONPAYMENTENTITYSAVED": ("payments", "300"),
    "ONPAYMENTDELETED": ("payments", "300"),
    "ONSHIPMENTENTITYSAVED": ("shipments", "300"),
    "ONSHIPMENTDELETED": ("shipments", "300"),
    "ONPROPERTYVALUEENTITYSAVED": ("order_properties", "300"),
    "ONPROPERTYVALUEDELETED": ("order_properties", "300"),
    "CATALOG.PRODUCT.ON.ADD": ("products", "300"),
    "CATALOG.PRODUCT.ON.UPDATE": ("products", "300"),
    "CATALOG.PRODUCT.ON.DELETE": ("products", "300"),
    "CATALOG.PRICE.ON.UPDATE": ("prices", "300"),
    "ONCRMDEALUPDATE": ("", ""),
    "ONAPPUNINSTALL": ("", ""),
}


def authentic(said: Mapping[str, str], **env: str) -> bool:
    return endpoint("bitrix", **env).authentic(delivery(said))


@pytest.mark.parametrize("name", LEADS_TO)
def test_what_an_event_leads_to(name: str) -> None:
    (found,) = events("bitrix", {**SAVED, "event": name, "data[FIELDS][ACTION]": "save", **AUTH})
    assert (found.name, found.entity, found.key, found.problem) == (name, *LEADS_TO[name], "")
    assert found.at is not None and found.at.timestamp() == 1714649632
    assert not [secret for secret in (b"canary", b"trap", TOKEN.encode()) if secret in found.payload]


def test_a_new_user_is_told_of_by_an_id_and_nothing_else_of_them_is_kept() -> None:
    person = {"data[ID]": "12", "data[EMAIL]": "canary@example.test", "data[NAME]": "canary"}
    (found,) = events("bitrix", {"event": "OnUserAdd", **person, "ts": "1714649632", **AUTH})
    assert (found.name, found.entity, found.key) == ("ONUSERADD", "users", "12")
    assert b"canary" not in found.payload


def wire(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """What PHP makes of a value."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from wire(inner, f"{name}[{key}]" if name else key)
    elif not isinstance(value, list):
        yield name, str(value)


def test_every_documented_event_is_read(shared: Path) -> None:
    seen = 0
    for file in sorted((shared / "bitrix").glob("*.json")):
        for example in json.loads(file.read_text()).get("examples", []):
            if not (isinstance(example, dict) and {"event", "auth"} <= example.keys()):
                continue
            seen += 1
            token = example["auth"]["application_token"]
            said = dict(wire(example))
            assert authentic(said, BITRIX_APPLICATION_TOKEN=token), file.name
            assert not authentic(said), file.name
            for found in events("bitrix", said):
                assert found.name == example["event"] and token.encode() not in found.payload
                assert not found.problem and bool(found.entity) is not found.name.startswith(("ONCRM", "ONOFFLINE"))
    assert seen >= 10


WRONG = {
    "no token": {name: value for name, value in AUTH.items() if "application" not in name},
    "another token": {**AUTH, "auth[application_token]": "another"},
    "half a token": {**AUTH, "auth[application_token]": TOKEN[:-1]},
    "the token elsewhere": {"data[application_token]": TOKEN, "application_token": TOKEN},
    "an inner token": {"auth[auth][application_token]": TOKEN},
    "an empty token": {"auth[application_token]": ""},
    "nothing": {},
}


@pytest.mark.parametrize("wrong", WRONG)
def test_who_does_not_know_the_token_is_refused_w2(wrong: str) -> None:
    assert authentic({**SAVED, **AUTH}) and not authentic({**SAVED, **WRONG[wrong]})


def test_another_portal_is_refused_where_ours_is_known_w2() -> None:
    assert authentic({**SAVED, **AUTH}, BITRIX_MEMBER_ID="d897063e")
    assert not authentic({**SAVED, **AUTH}, BITRIX_MEMBER_ID="a223c6b3")
    assert not authentic({**SAVED, "auth[application_token]": TOKEN}, BITRIX_MEMBER_ID="d897063e")


def test_without_the_token_there_is_no_endpoint_w2() -> None:
    assert not account("bitrix", BITRIX_APPLICATION_TOKEN="").endpoints


def test_the_same_event_of_another_second_is_another_w1() -> None:
    first, again, later = (
        events("bitrix", {**SAVED, **AUTH, "ts": ts, "auth[access_token]": access})[0]
        for ts, access in (("1714649632", "a"), ("1714649632", "b"), ("1714649633", "a"))
    )
    assert first.identity == again.identity != later.identity
    assert not first.unique, "two saves of one second look the same, and Bitrix sends nothing twice"


@pytest.mark.parametrize(
    ("body", "names"),
    [
        (b"", [""]),
        (b"{}", [""]),
        (b"event=", [""]),
        (b"event=ONSALEORDERSAVED&ts=1", ["ONSALEORDERSAVED"]),
        (b"event=ONSALEORDERSAVED&data[FIELDS][ID]=x", ["ONSALEORDERSAVED"]),
        (b"event=ONSALEORDERSAVED&data[FIELDS][ID]=%D9%A1", ["ONSALEORDERSAVED"]),
    ],
)
def test_what_cannot_be_read_is_kept_with_the_reason_w7(body: bytes, names: list[str]) -> None:
    found = events("bitrix", body)
    assert [e.name for e in found] == names and all(e.problem and not e.entity and not e.key for e in found)


def test_an_event_without_an_id_that_nobody_knows_is_none_of_ours_w12() -> None:
    assert about(events("bitrix", b"event=ONAPPTEST&data[FIELDS]=")) == [("ONAPPTEST", "", "")]
