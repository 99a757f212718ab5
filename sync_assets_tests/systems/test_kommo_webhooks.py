"""Kommo's webhooks: the recorded forms and worse ones, who may send them, and what each leads to."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from sync_assets import form
from sync_assets.errors import UnsafeSetting
from sync_assets_tests.systems.deliveries import PATH_SECRET, PUBLIC, about, account, delivery, endpoint, events

URL = f"{PUBLIC}/webhooks/kommo/{PATH_SECRET}"
ACCOUNT = {"account[subdomain]": "example", "account[id]": "7001", "account[_links][self]": "https://example.kommo.com"}
LEAD = {"leads[update][0][id]": "100001", "leads[update][0][last_modified]": "1767225600"}

RECORDED = {
    "leads.add": [("add_lead", "leads", "100001")],
    "leads.update": [("update_lead", "leads", "100001")],
    "leads.status": [("status_lead", "leads", "100001")],
    "leads.responsible": [("responsible_lead", "leads", "100001")],
    "leads.delete": [("delete_lead", "leads", "100001")],
    "leads.delete.modern": [("delete_lead", "leads", "100001")],
    "leads.restore": [("restore_lead", "leads", "100001")],
    "leads.status.modern": [("status_lead", "leads", "100001")],
    "contacts.add": [("add_contact", "contacts", "200001")],
    "contacts.update": [("update_contact", "contacts", "200001")],
    "contacts.add(phone,email)": [("add_contact", "contacts", "200001")],
    "companies (under contacts key)": [("add_company", "companies", "200001")],
    "contacts.delete": [("delete_contact", "contacts", "200001")],
    "task.add": [("add_task", "tasks", "300001")],
    "task.update(closed)": [("update_task", "tasks", "300001")],
    "leads.note": [("note_lead", "leads", "100001")],
    "unsorted.delete(accept)": [("delete_unsorted", "", "")],
    "message.add": [("add_message", "", "")],
    "several entities and actions in one POST": [
        ("update_lead", "leads", "100001"),
        ("update_lead", "leads", "100002"),
        ("status_lead", "leads", "100001"),
    ],
}


def authentic(body: bytes | str | Mapping[str, str], url: str = URL, **env: str) -> bool:
    return endpoint("kommo", **env).authentic(delivery(body, url))


@pytest.fixture
def recorded(shared: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((shared / "kommo/webhook_shapes.json").read_text())["webhooks"]
    return found


def test_every_recorded_form_leads_to_its_records(recorded: list[dict[str, Any]]) -> None:
    assert {shape["name"] for shape in recorded} == RECORDED.keys()
    for shape in recorded:
        body = shape["wire_body"]
        assert authentic(body), shape["name"]
        found = events("kommo", body)
        assert about(found) == RECORDED[shape["name"]], shape["name"]
        assert not [e.problem for e in found if e.problem]
        plain = "&".join(f"{name}={value}" for name, value in shape["ordered_pairs"] if "{" not in value)
        assert about(events("kommo", plain)) == RECORDED[shape["name"]], "brackets that are not encoded"
        kept = b"".join(e.payload for e in found)
        for text in (b"Jane", b"+1555", b"jane@", b"Call", b"note text", b"Hello", b"Deal", b"some text"):
            assert text not in kept, shape["name"]


def test_only_what_says_when_it_is_counts_for_ever_w1(recorded: list[dict[str, Any]]) -> None:
    unique = {shape["name"]: {e.unique for e in events("kommo", shape["wire_body"])} for shape in recorded}
    timeless = {"leads.delete", "leads.delete.modern", "contacts.delete", "unsorted.delete(accept)", "message.add"}
    assert {name for name, said in unique.items() if said == {False}} == timeless
    for shape in recorded:
        first, again = events("kommo", shape["wire_body"]), events("kommo", shape["wire_body"])
        assert [e.identity for e in first] == [e.identity for e in again]
    (before,), (after,) = (
        events("kommo", {**LEAD, "leads[update][0][name]": name, **ACCOUNT}) for name in ("before", "after")
    )
    assert before.identity != after.identity, "two changes in one second"
    assert before.at is not None and before.at.timestamp() == 1767225600


WRONG = {
    "another secret": (URL[:-1] + "x", ACCOUNT),
    "half of the secret": (URL[:-8], ACCOUNT),
    "no secret": (f"{PUBLIC}/webhooks/kommo", ACCOUNT),
    "more than the secret": (URL + "x", ACCOUNT),
    "the secret in the query": (f"{PUBLIC}/webhooks/kommo?x=/{PATH_SECRET}", ACCOUNT),
    "another account": (URL, {**ACCOUNT, "account[subdomain]": "another", "account[id]": "7002"}),
    "no account": (URL, {}),
}


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("account_id", ["", "7001"])
def test_who_does_not_know_the_secret_and_the_account_is_refused_w2(wrong: str, account_id: str) -> None:
    url, said = WRONG[wrong]
    assert authentic({**LEAD, **ACCOUNT}, KOMMO_ACCOUNT_ID=account_id)
    assert not authentic({**LEAD, **said}, url, KOMMO_ACCOUNT_ID=account_id)


def test_the_account_is_known_by_its_id_else_by_its_name_w2() -> None:
    renamed = {**LEAD, **ACCOUNT, "account[subdomain]": "renamed"}
    assert authentic(renamed, KOMMO_ACCOUNT_ID="7001") and not authentic(renamed)
    old = {**LEAD, "account[subdomain]": "example"}
    assert authentic(old, KOMMO_ACCOUNT_ID="7001") and authentic(old)
    assert not authentic({**old, "account[id]": "7002"}, KOMMO_ACCOUNT_ID="7001")
    twice = urlencode({**LEAD, **ACCOUNT}) + "&account[id]=7002"
    assert not authentic(twice, KOMMO_ACCOUNT_ID="7001"), "the last one counts, as in PHP"
    elsewhere = {"KOMMO_BASE_URL": "http://127.0.0.1:8080"}
    assert authentic(LEAD, **elsewhere), "an address that names no account"
    assert not authentic(LEAD, **elsewhere, KOMMO_ACCOUNT_ID="7001")


def test_without_the_secret_there_is_no_endpoint_w2() -> None:
    assert not account("kommo", KOMMO_WEBHOOK_SECRET="").endpoints
    assert account("kommo").endpoints[0].secret == PATH_SECRET
    assert PATH_SECRET not in repr(account("kommo").endpoints)


@pytest.mark.parametrize(
    ("secret", "says"), [("short-0123456789", "can be guessed"), ("a" * 40, "guessed"), (f"{PATH_SECRET}/é", "address")]
)
def test_a_secret_that_can_be_guessed_is_refused(secret: str, says: str) -> None:
    for name in ("KOMMO_WEBHOOK_SECRET", "KAITEN_WEBHOOK_SECRET", "WORKSECTION_WEBHOOK_PASSWORD"):
        with pytest.raises(UnsafeSetting, match=says) as told:
            account("kommo", **{name: secret})
        assert name in str(told.value) and secret not in str(told.value)


BROKEN = [
    ("leads[update][0][id]=1&leads[update][0][id]=2", [("update_lead", "leads", "2")]),
    ("leads[update][917][id]=1&leads[update][a][id]=2", [("update_lead", "leads", "1"), ("update_lead", "leads", "2")]),
    ("leads%5bupdate%5d%5b0%5d%5bid%5d=5", [("update_lead", "leads", "5")]),
    ("leads[update][0][id]=1&leads[update][0][name]=caf%E9&x=%E9", [("update_lead", "leads", "1")]),
    ("leads[update][0][id]=1&leads[update][0][custom_fields][0][values][0]=17&=&&", [("update_lead", "leads", "1")]),
    ("leads[update][0]id]=1&leads[update][1][id]=2&leads[update=3", [("update_lead", "leads", "2")]),
    ("leads[update][0][custom_fields][0][id]=3&leads[update][0][id]=4", [("update_lead", "leads", "4")]),
    ("leads[note][0][note][element_type]=3&leads[note][0][note][element_id]=9", [("note_company", "companies", "9")]),
    ("leads[update][0][id]=1&leads[update][0][id][x]=2", [("update_lead", "leads", "1")]),
    ("customers[update][0][id]=1", [("update_customer", "", "")]),
    ("talk[update][0][talk_id]=1", [("update_talk", "", "")]),
]  # fmt: skip


@pytest.mark.parametrize(("body", "leads_to"), BROKEN)
def test_what_is_whole_of_a_broken_form_counts_w7(body: str, leads_to: list[tuple[str, str, str]]) -> None:
    assert about(events("kommo", body)) == leads_to


def test_one_bad_record_does_not_cost_the_other_99_w7() -> None:
    said = {f"leads[update][{n}][id]": "x" if n == 50 else str(n) for n in range(100)}
    found = events("kommo", {**said, **ACCOUNT})
    assert [e.key for e in found if e.entity] == [str(n) for n in range(100) if n != 50]
    (bad,) = (e for e in found if e.problem)
    assert (bad.name, bad.entity, bad.problem) == ("update_lead", "", "it bears no id")


def test_ten_thousand_fields_are_read_and_no_more_than_the_limit_w7(monkeypatch: pytest.MonkeyPatch) -> None:
    many = {f"leads[add][{n}][{field}]": str(n) for n in range(5_000) for field in ("id", "price")}
    assert len(events("kommo", {**many, **ACCOUNT})) == 5_000
    monkeypatch.setattr(form, "MOST", 100)
    found = events("kommo", {**many, **ACCOUNT})
    assert [e.key for e in found[:-1]] == [str(n) for n in range(50)]
    assert "more than 100 fields" in found[-1].problem and authentic({**many, **ACCOUNT})


def test_a_form_without_a_record_is_kept_with_the_reason() -> None:
    for body in (b"", b"{}", urlencode(ACCOUNT).encode(), b"\xff\xfe&&=%"):
        (found,) = events("kommo", body)
        assert found.problem and not found.payload
