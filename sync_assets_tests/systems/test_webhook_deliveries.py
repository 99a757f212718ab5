"""What vendors send when their company lives: taken by the receiver, led to its record, read afresh by the worker."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from sync_assets_tests.company import Company
from sync_assets_tests.inbox.hints import worked_off
from sync_assets_tests.receiving import receiving
from sync_assets_tests.systems.deliveries import SECRETS

SWITCHES = {
    "hubspot classic": ("hubspot", {}),
    "hubspot object": ("hubspot", {"hubspot.hook_types": "object"}),
    "hubspot v1": ("hubspot", {"hubspot.signatures": "v1"}),
    "kaiten": ("kaiten", {}),
    "kommo": ("kommo", {}),
    "kommo 2016": ("kommo", {"kommo.hook_era": "2016"}),
    "worksection": ("worksection", {}),
    "worksection documented": ("worksection", {"worksection.hook_page": "project", "worksection.hook_batch": "5"}),
    "bitrix": ("bitrix", {}),
}
WHOLE = {"board:add", "tag:update"}
"""Events that lead to an entity as a whole."""


TOLD = {
    "worksection": (),
    "hubspot": ("deals", "calls"),
    "kommo": ("tasks",),
    "bitrix": ("products", "orders", "order_items", "payments", "shipments", "order_properties"),
}
"""Entities of which webhooks tell everything. Kaiten has none: its say nothing of what was deleted. Kommo's say nothing
of links and merges, HubSpot's of a contact that changed by getting a call, Bitrix's of a person who changed."""

Listen = Callable[..., AbstractContextManager[Company]]


@pytest.fixture
def listening(make_company: Callable[..., Company], make_sandbox: Callable[..., Any], tmp_path: Path) -> Listen:
    """listening(system, switches, steps=20, **options of make_company) -> a company that has lived so many steps, and
    whose vendor has told its receiver."""

    @contextmanager
    def listen(system: str, switches: dict[str, str], *, steps: int = 20, **options: Any) -> Iterator[Company]:
        sandbox = make_sandbox(switches=switches)
        names = {
            "client_secret": "HUBSPOT_WEBHOOK_SECRET",
            "application_token": "BITRIX_APPLICATION_TOKEN",
            "member_id": "BITRIX_MEMBER_ID",
        }
        known = {names[name]: value for name, value in sandbox.webhooks.vendor(system).known().items()}
        with receiving(make_company(sandbox, **{**SECRETS, **known, **options}), tmp_path) as company:
            (endpoint,) = (e for e in company.accounts[system].endpoints if not e.name)
            url = company.settings.sync_public_url + endpoint.path(system)
            basic = {"user": SECRETS["WORKSECTION_WEBHOOK_USER"], "password": SECRETS["WORKSECTION_WEBHOOK_PASSWORD"]}
            sandbox.webhooks.register(system, url, **(basic if system == "worksection" else {}))
            sandbox.webhooks.vendor(system).timeout = 60.0  # how soon is another question
            sandbox.world.advance(steps)
            sandbox.webhooks.settled(60)
            yield company

    return listen


@pytest.mark.parametrize("case", SWITCHES)
def test_every_event_of_a_living_company_leads_to_its_record(listening: Listen, case: str) -> None:
    system, switches = SWITCHES[case]
    with listening(system, switches, HUBSPOT_WEBHOOK_V1="yes" if case == "hubspot v1" else "no") as company:
        sandbox = company.sandbox
        rows = company.query("select entity, key, reason from sync.webhook_events")
    sent = sandbox.webhooks.deliveries
    assert sent and all(d.status == 200 for d in sent), {(d.status, d.reason) for d in sent}
    assert not [reason for _, _, reason in rows if reason and not reason.startswith("of no entity")]
    held = {(entity, key) for entity, key, _ in rows}
    changes = [c for c in sandbox.webhooks.changes if c.system == system]
    for change in changes:
        entity, key = change.entity, "" if change.name in WHOLE else change.key
        if change.name.endswith("associationChange"):
            entity = f"{change.entity.removesuffix('s')}_associations"
        if case == "worksection documented" and entity == "tasks":
            tasks = sandbox.world.systems["worksection"].company.tasks
            if key not in tasks:
                continue  # gone, and with it what says which task it was of
            while tasks[key].parent:
                key = tasks[key].parent  # which the page names
        assert (entity, key) in held, change
    assert len(changes) > 9 and len({c.name for c in changes}) > 3


@pytest.mark.parametrize("system", TOLD)
def test_what_webhooks_tell_of_is_in_step_when_they_are_worked_off(
    listening: Listen, make_database: Callable[..., str], system: str
) -> None:
    with listening(system, {}, steps=8, database_url=make_database(grown=True)) as company:
        work = worked_off(company, system)
        assert work.events and not (work.problems or work.waiting or work.dead)
        company.assert_world_equals_postgres(system, only=TOLD[system])
        company.assert_ledger_adds_up()
