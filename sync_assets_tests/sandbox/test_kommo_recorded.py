"""The sandbox's answers beside the vendor's own examples: the same keys, and values of the same types."""

import json
from pathlib import Path
from typing import Any

import pytest

from sync_assets.sandbox.server import Sandbox
from sync_assets_tests.sandbox.conftest import UNLIMITED
from sync_assets_tests.sandbox.kommo import Account


def unlike(ours: Any, theirs: Any, path: str = "") -> list[str]:
    """Where the two differ; null may stand for any value, and an empty list for any other."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        found = [f"{path}: {sorted(ours.keys() ^ theirs.keys())}"] if ours.keys() != theirs.keys() else []
        both = ours.keys() & theirs.keys()
        return found + [line for key in both for line in unlike(ours[key], theirs[key], f"{path}.{key}")]
    if isinstance(ours, list) and isinstance(theirs, list):
        return unlike(ours[0], theirs[0], f"{path}[]") if ours and theirs else []
    if ours is None or theirs is None or type(ours) is type(theirs) or [ours, theirs].count([]) == 1:
        return []
    return [f"{path}: {ours!r} {theirs!r}"]


def recorded(shared: Path, name: str, call: str) -> Any:
    folder = shared / "kommo"
    if not folder.is_dir():
        pytest.skip(f"recorded payloads are not at {folder}; set SYNC_ASSETS_SHARED_DATA")
    return json.loads((folder / f"{name}.json").read_text())["examples_by_method"][call][0]


ACCOUNT = "amojo_id,uuid,amojo_rights,users_groups,task_types,version,datetime_settings"
READS = [
    ("base", "get_account_info", f"account?with={ACCOUNT}"),
    ("leads", "get_leads", "leads?limit=2&page=2"),
    ("leads", "get_lead", "leads/{lead}?with=contacts,loss_reason,catalog_elements,is_price_modified_by_robot"),
    ("contacts", "get_contacts", "contacts?limit=2"),
    ("contacts", "get_contact", "contacts/{contact}?with=leads,customers,catalog_elements"),
    ("companies", "get_companies", "companies?limit=2"), ("companies", "get_company", "companies/{company}"),
    ("tasks", "get_tasks", "tasks?filter[is_completed]=1&limit=2"), ("tasks", "get_task", "tasks/{task}"),
    ("users", "get_users", "users/?with=role,group"), ("users", "get_user", "users/{user}"),
    ("pipelines", "get_pipelines", "leads/pipelines"), ("pipelines", "get_pipeline", "leads/pipelines/{pipeline}"),
    ("pipelines", "get_pipeline_status", "leads/pipelines/{pipeline}/statuses/142"),
    ("custom_fields", "_get_custom_field_by_entity_type", "contacts/custom_fields/{phone}"),
    ("tags", "get_tags_by_entity_type", "leads/tags?limit=2"), ("events", "get_event", "events/{event}"),
]  # fmt: skip
# Of the examples, not of the reads: parts that this account does not have, or that an example leaves out.
APART = ("base._embedded: ['entity_names']", "users._page", "users._links", "users.rights.status_rights[]")


@pytest.mark.parametrize(("file", "call", "path"), READS, ids=lambda value: value if "/" not in value else "")
def test_reads_look_as_recorded(shared: Path, file: str, call: str, path: str) -> None:
    theirs = recorded(shared, file, call)
    with Sandbox(rates=UNLIMITED, switches={"kommo.era": "2020"}) as sb, Account(sb) as account:
        company = account.company
        phone = company.field("contacts", "PHONE")
        contact = company.create("contacts", first_name="A", values={phone: [
            {"value": "+7", "enum_id": 1, "enum_code": "WORK"}]})  # fmt: skip
        firm = company.create("companies", name="F", values={company.field("companies", "PHONE"): [
            {"value": "+7", "enum_id": 1, "enum_code": "WORK"}]})  # fmt: skip
        links = [("contacts", contact), ("companies", firm)]
        lead = company.create("leads", name="L", tags=["t"], links=links)
        company.link("contacts", contact, "companies", firm)
        company.move(lead, 143, loss_reason_id=next(iter(company.loss_reasons)))
        task = company.create("tasks", text="T", complete_till=1, entity_type="leads", entity_id=lead)
        company.complete(task, "done")
        event = next(row["id"] for row in account.truth("events") if row["type"] == "lead_added")
        ids = {"lead": lead, "contact": contact, "company": firm, "task": task, "phone": phone, "event": event}
        ids |= {"user": list(company.users)[1], "pipeline": next(iter(company.pipelines))}
        ours = account.get(path.format(**ids))
    assert [line for line in unlike(ours, theirs, file) if not line.startswith(APART)] == []


WRITES = [
    ("leads", "create_leads", "POST", "leads", {"name": "x"}),
    ("leads", "update_leads", "PATCH", "leads", {"price": 1}),
    ("companies", "create_companies", "POST", "companies", {"name": "x"}),
    ("tasks", "add_tasks", "POST", "tasks", {"text": "x", "complete_till": 1}),
    ("tasks", "update_tasks", "PATCH", "tasks", {"text": "y"}),
]  # fmt: skip


@pytest.mark.parametrize(("file", "call", "method", "kind", "body"), WRITES, ids=lambda value: str(value)[:20])
def test_writes_are_answered_as_recorded(
    shared: Path, account: Account, file: str, call: str, method: str, kind: str, body: dict[str, Any]
) -> None:
    theirs = recorded(shared, file, call)
    if method == "PATCH":
        body = body | {"id": min(account.company.living[kind])}
    assert unlike(account.http.request(method, kind, json=[body]).json(), theirs, file) == []
