"""What vendors send when their company lives, taken by the receiver: all of it proved, and each event at its record."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sync_assets_tests.company import Company
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


@pytest.mark.parametrize("case", SWITCHES)
def test_every_event_of_a_living_company_leads_to_its_record(
    make_company: Callable[..., Company], make_sandbox: Callable[..., Any], tmp_path: Path, case: str
) -> None:
    system, switches = SWITCHES[case]
    sandbox = make_sandbox(switches=switches)
    env = {**SECRETS, "HUBSPOT_WEBHOOK_V1": "yes" if case == "hubspot v1" else "no"}
    known = sandbox.webhooks.vendor(system).known()
    names = {
        "client_secret": "HUBSPOT_WEBHOOK_SECRET",
        "application_token": "BITRIX_APPLICATION_TOKEN",
        "member_id": "BITRIX_MEMBER_ID",
    }
    env |= {names[name]: value for name, value in known.items()}
    with receiving(make_company(sandbox, **env), tmp_path) as company:
        (endpoint,) = (e for e in company.accounts[system].endpoints if not e.name)
        url = company.settings.sync_public_url + endpoint.path(system)
        basic = {"user": SECRETS["WORKSECTION_WEBHOOK_USER"], "password": SECRETS["WORKSECTION_WEBHOOK_PASSWORD"]}
        sandbox.webhooks.register(system, url, **(basic if system == "worksection" else {}))
        sandbox.world.advance(20)
        sandbox.webhooks.settled()
    sent = sandbox.webhooks.deliveries
    assert sent and all(d.status == 200 for d in sent), {(d.status, d.reason) for d in sent}
    changes = [c for c in sandbox.webhooks.changes if c.system == system]
    rows = company.query("select event, entity, key, reason, is_unique from sync.webhook_events")
    assert not [row for row in rows if row[3] and not row[3].startswith("of no entity")], "what has a problem"
    held = {(entity, key) for _, entity, key, _, _ in rows}
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
