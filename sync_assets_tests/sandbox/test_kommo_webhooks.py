"""Kommo's webhooks: forms in the recorded order, settings over the API, five attempts, and the end after too many."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sync_assets.sandbox.kommo.company import KommoCompany
from sync_assets.sandbox.kommo.shapes import ACCOUNT_ID
from sync_assets.sandbox.kommo.webhooks import SETTINGS, WAITS
from sync_assets.sandbox.server import Sandbox
from sync_assets.sandbox.webhooks.form import pairs
from sync_assets_tests.sandbox.conftest import UNLIMITED
from sync_assets_tests.sandbox.kommo import Account
from sync_assets_tests.sandbox.receiver import Receiver


@pytest.fixture
def kommo(sb: Sandbox, receiver: Receiver) -> Iterator[KommoCompany]:
    sb.webhooks.register("kommo", receiver.url)
    yield sb.world.kommo


def keys(form: list[tuple[str, str]]) -> list[str]:
    """The names of a form's fields without the ids that are part of some."""
    return [re.sub(r"\[linked_leads_id\]\[\d+\]", "[linked_leads_id][#]", name) for name, _ in form]


def text_field(company: KommoCompany) -> dict[int, list[dict[str, Any]]]:
    return {company.field("leads", "Адрес объекта"): [{"value": "some text"}]}


def reached(company: KommoCompany) -> dict[int, list[dict[str, Any]]]:
    """A phone and an address, each with its kind."""
    found = {}
    for code in ("PHONE", "EMAIL"):
        field = company.field("contacts", code)
        kind = company.definitions["contacts"][field]["enums"][0]
        found[field] = [{"value": code, "enum_id": kind["id"], "enum_code": kind["value"]}]
    return found


def produce(company: KommoCompany, shape: str) -> None:
    """The edit of which this shape tells."""
    lead = company.create("leads", name="Deal 1", values={} if "restore" in shape else text_field(company))
    match shape.removesuffix(".modern"):
        case "leads.update":
            company.update("leads", lead, price=7)
        case "leads.status":
            stages = [status for (_, status), own in company.statuses.items() if own["type"] == 0]
            company.move(lead, stages[1])
        case "leads.responsible":
            company.update("leads", lead, responsible_user_id=list(company.users)[1])
        case "leads.delete":
            company.delete("leads", lead)
        case "leads.restore":
            company.delete("leads", lead)
            company.restore("leads", lead)
        case "contacts.add" | "contacts.delete" | "contacts.update" | "contacts.add(phone,email)":
            values = reached(company) if "phone" in shape else {}
            contact = company.create("contacts", name="Jane Roe", values=values)
            if shape == "contacts.update":
                company.link("leads", lead, "contacts", contact)
            elif shape == "contacts.delete":
                company.delete("contacts", contact)
        case "companies (under contacts key)":
            company.create("companies", name="Acme")
        case "task.add" | "task.update(closed)":
            task = company.create(
                "tasks", entity_type="leads", entity_id=lead, text="Call", complete_till=1_767_387_540
            )
            if "closed" in shape:
                company.complete(task)


SHAPES = {
    "leads.add": "2016", "leads.update": "2016", "leads.status": "2016", "leads.responsible": "2016",
    "leads.delete": "2016", "leads.delete.modern": "now", "leads.restore": "2016", "leads.status.modern": "now",
    "contacts.add": "2016", "contacts.update": "2016", "contacts.add(phone,email)": "now",
    "companies (under contacts key)": "2016", "contacts.delete": "2016", "task.add": "now",
    "task.update(closed)": "now",
}  # fmt: skip


@pytest.mark.parametrize("name", SHAPES)
def test_a_body_has_the_recorded_fields_in_the_recorded_order(shared: Path, receiver: Receiver, name: str) -> None:
    known = json.loads((shared / "kommo/webhook_shapes.json").read_text())
    shape = next(one for one in known["webhooks"] if one["name"] == name)
    switches = {"kommo.hook_era": SHAPES[name], "kommo.hook_batch": "1"}
    with Sandbox(rates=UNLIMITED, switches=switches) as sb:
        company = sb.world.kommo
        sb.webhooks.register("kommo", receiver.url)
        sb.webhooks.vendor("kommo").connections = 1
        produce(company, name)
        sb.webhooks.settled()
    group = shape["ordered_pairs"][0][0].rsplit("[", 1)[0]
    found = next(one for one in receiver.arrived if one.form()[0][0].startswith(group))
    assert keys(found.form()) == keys(shape["ordered_pairs"])
    names = ("content-type", "accept", "connection")
    assert {n: found.headers[n] for n in names} == {n: known["headers"][n.title()] for n in names}
    assert not re.search(rb"[\[\] ]", found.body), "brackets are encoded, and a space is a plus"


def test_several_records_and_actions_share_one_form(sb: Sandbox, receiver: Receiver, kommo: KommoCompany) -> None:
    one, two = list(kommo.living["leads"])[:2]
    with sb.webhooks.holding():
        kommo.update("leads", one, name="first")
        kommo.update("leads", two, name="second")
        kommo.delete("leads", one)
    sb.webhooks.settled()
    (letter,) = receiver.arrived
    form = dict(letter.form())
    assert (form["leads[update][0][name]"], form["leads[update][1][name]"]) == ("first", "second")
    assert form["leads[delete][0][id]"] == str(one) and form["account[id]"] == str(ACCOUNT_ID)


def test_one_edit_is_one_event_of_each_record_it_touched(sb: Sandbox, kommo: KommoCompany) -> None:
    def told() -> list[str]:
        names, seen[:] = [c.name for c in sb.webhooks.changes[len(seen) :]], list(sb.webhooks.changes)
        return sorted(names)

    seen: list[Any] = []
    lead = kommo.create("leads", name="x", tags=["a", "b"])
    assert told() == ["add_lead"]
    task = kommo.create("tasks", entity_type="leads", entity_id=lead, text="Call", complete_till=1_767_387_540)
    assert told() == ["add_task"], "the lead's closest task is no event of the lead"
    kommo.move(lead, [status for (_, status), own in kommo.statuses.items() if own["type"] == 0][1])
    assert told() == ["status_lead", "update_lead"]
    kommo.update("leads", lead, responsible_user_id=list(kommo.users)[1])
    assert told() == ["responsible_lead", "update_lead"]
    kommo.tag("leads", lead, "c")
    assert told() == ["update_lead"]
    contact = next(iter(kommo.living["contacts"]))
    kommo.link("leads", lead, "contacts", contact)
    assert told() == ["update_contact", "update_lead"]
    kommo.delete("tasks", task)
    kommo.delete("leads", lead)
    kommo.restore("leads", lead)
    assert told() == ["delete_lead", "delete_task", "restore_lead"]
    other = list(kommo.living["contacts"])[1]
    kommo.merge("contacts", contact, other)
    assert "delete_contact" not in told(), "by default who is merged away leaves in silence"


def test_switches_decide_what_the_facts_leave_open(receiver: Receiver) -> None:
    switches = {"kommo.hook_status": "status", "kommo.merge": "deleted", "kommo.hook_tasks": "listed"}
    with Sandbox(rates=UNLIMITED, switches=switches) as sb:
        company = sb.world.kommo
        sb.webhooks.register("kommo", receiver.url, events=["status_lead", "update_lead", "delete_contact", "add_task"])
        lead = next(iter(company.living["leads"]))
        company.move(lead, 142)
        first, second = list(company.living["contacts"])[:2]
        company.merge("contacts", first, second)
        company.complete(next(id for id, task in company.living["tasks"].items() if not task.fields["is_completed"]))
        sb.webhooks.settled()
        told = [(name, key) for d in sb.webhooks.deliveries for name, key in zip(d.events, d.keys, strict=True)]
    assert ("status_lead", str(lead)) in told and ("update_lead", str(lead)) not in told
    assert ("delete_contact", str(second)) in told and all(name != "update_task" for name, _ in told)


def test_the_api_lists_takes_and_forgets_addresses(sb: Sandbox, receiver: Receiver, account: Account) -> None:
    body = {"destination": receiver.url, "settings": ["update_lead"], "sort": 3}
    made = account.http.post("webhooks", json=body)
    row = made.json()
    assert made.status_code == 200 and row["settings"] == ["update_lead"] and row["disabled"] is False
    assert row["account_id"] == ACCOUNT_ID and row["sort"] == 3
    lead = next(iter(account.company.living["leads"]))
    account.http.patch(f"leads/{lead}", json={"price": 77}).raise_for_status()
    account.company.delete("leads", lead)
    sb.webhooks.settled()
    assert [dict(one.form())["leads[update][0][price]"] for one in receiver.arrived] == ["77"]
    again = account.http.post("webhooks", json=body | {"settings": ["delete_lead"]}).json()
    assert again["id"] == row["id"] and again["settings"] == ["delete_lead"]
    assert account.get("webhooks")["_total_items"] == 1
    found = account.http.get("webhooks", params={"filter[destination]": "https://elsewhere.test"}).json()
    assert found["_embedded"]["webhooks"] == []
    for wrong in ({"destination": "nowhere"}, {"settings": ["fly_lead"]}, {"settings": []}):
        assert account.http.post("webhooks", json=body | wrong).status_code == 400
    forget = account.http.request("DELETE", "webhooks", json={"destination": receiver.url})
    assert forget.status_code == 204 and not sb.webhooks.vendor("kommo").hooks
    assert account.http.request("DELETE", "webhooks", json={"destination": receiver.url}).status_code == 404


def test_the_rows_have_the_keys_of_the_recorded_ones(shared: Path, sb: Sandbox, receiver: Receiver) -> None:
    known = json.loads((shared / "kommo/webhooks.json").read_text())["examples_by_method"]
    with Account(sb) as account:
        body = {"destination": receiver.url, "settings": sorted(SETTINGS)}
        posted = account.http.post("webhooks", json=body).json()
        assert posted.keys() == known["subscribe_webhook"][0].keys()
        (row,) = account.get("webhooks")["_embedded"]["webhooks"]
        assert row.keys() == known["get_webhooks"][0]["_embedded"]["webhooks"][0].keys()


@pytest.mark.parametrize(("status", "attempts"), [(500, 5), (404, 4), (299, 1)])
def test_an_answer_that_is_none_is_tried_again_in_growing_steps(
    sb: Sandbox, receiver: Receiver, kommo: KommoCompany, status: int, attempts: int
) -> None:
    sb.webhooks.speed = 1e6
    receiver.answer = (status, b"")
    kommo.update("leads", next(iter(kommo.living["leads"])), price=1)
    sb.webhooks.settled()
    assert [d.attempt for d in sb.webhooks.deliveries] == list(range(attempts))
    assert len({one.body for one in receiver.arrived}) == 1 and WAITS == (300, 900, 900, 3600)


def test_a_retry_that_is_not_due_is_not_waited_for(sb: Sandbox, receiver: Receiver, kommo: KommoCompany) -> None:
    receiver.answer = (500, b"")
    kommo.update("leads", next(iter(kommo.living["leads"])), price=1)
    sb.webhooks.settled()
    assert len(receiver.arrived) == 1


def test_more_than_a_hundred_invalid_answers_disable_the_address(
    receiver: Receiver, sb: Sandbox, account: Account
) -> None:
    body = {"destination": receiver.url, "settings": ["update_lead"]}
    account.http.post("webhooks", json=body)
    receiver.answer = (404, b"")
    sb.world.switches["kommo.hook_batch"] = "1"
    sb.webhooks.burst("kommo", 100, 10)
    sb.webhooks.settled()
    assert account.get("webhooks")["_embedded"]["webhooks"][0]["disabled"] is False
    sb.webhooks.burst("kommo", 1, 10)
    sb.webhooks.settled()
    assert account.get("webhooks")["_embedded"]["webhooks"][0]["disabled"] is True
    sb.webhooks.burst("kommo", 1, 10)
    sb.webhooks.settled()
    assert len(receiver.arrived) == 101
    assert account.http.post("webhooks", json=body).json()["disabled"] is True, "posting again does not wake it"
    sb.world.switches["kommo.hook_enables"] = "yes"
    assert account.http.post("webhooks", json=body).json()["disabled"] is False


def test_nested_values_are_written_as_php_writes_them() -> None:
    value = {"a": [{"x": 1, "n": None}, {"x": True}], "b": {"7": {"ID": 7}}, "c": "é ю"}
    assert list(pairs("", value)) == [("a[0][x]", "1"), ("a[1][x]", "1"), ("b[7][ID]", "7"), ("c", "é ю")]
