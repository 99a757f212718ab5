"""What creates a record: it bears a mark and is looked for before it is sent again, or a person decides (R4).

The operations stand here, as a system would declare them: Kommo's tasks, with a look and without one.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from psycopg2.errors import UniqueViolation

from sync_assets.account import Account
from sync_assets.errors import SyncError
from sync_assets.operation import Agrees, Held, Letter, Operation, Outbound, Verdict, Write
from sync_assets.send.deliver import Delivered, Reach, deliver
from sync_assets.send.letters import Which, requeue
from sync_assets_tests.company import Company

WRITTEN = """
insert into sync.outbox (account, entity, key, operation, payload, idempotency_key)
select 'kommo', 'leads', min(id)::text, %s, '{"text": "Call back"}', %s from kommo.leads
"""


def find(fetch: Reach, letters: Sequence[Letter]) -> dict[int, Held | SyncError]:
    answer = fetch.ask("/tasks", {"order[id]": "desc", "limit": 250}, threading.Event())
    tasks = json.loads(answer.body).get("_embedded", {}).get("tasks", [])
    return {x.id: Held({"id": t["id"]}) for x in letters for t in tasks if x.marker in t["text"]}


def judge(letter: Letter, held: Held | None, _: Sequence[Any]) -> Verdict:
    return Agrees() if held else Write({**letter.payload, "entity_id": int(letter.key)})


def create(fetch: Reach, writes: Sequence[tuple[Letter, Mapping[str, Any]]]) -> dict[int, SyncError | None]:
    tasks = [
        {"text": f"{fields['text']} {letter.marker}", "entity_id": fields["entity_id"], "entity_type": "leads",
         "complete_till": 1_800_000_000}
        for letter, fields in writes
    ]  # fmt: skip
    fetch.send("POST", "/tasks", json.dumps(tasks).encode())
    return {}


LOOKED_FOR = Operation("create_task", "leads", judge, create, find)
BLIND = replace(LOOKED_FOR, name="post_task", look=None)


@pytest.fixture
def kommo(make_company: Any) -> Company:
    company: Company = make_company(SYNC_WAY_BACK="on")
    company.synced("full", "kommo", ["pipelines", "statuses", "leads"])
    known = company.accounts["kommo"]
    system = replace(known.system, outbound=Outbound("push", (LOOKED_FOR, BLIND)))
    company.accounts["kommo"] = Account(known.name, system, known.settings)
    return company


def sent(company: Company) -> Delivered:
    company.query(
        "update sync.outbox set next_try_at = now() where done_at is null; update sync.delivery set closed_until = null"
    )
    with company.connected("kommo") as connection:
        return deliver(connection)


def tasks(company: Company) -> list[str]:
    return [t["text"] for t in company.sandbox.world.truth("kommo", "tasks") if "Call back" in t["text"]]


@pytest.mark.parametrize(
    ("fault", "options", "posts"), [("A4", {}, 1), ("A6", {"keep": 0.3}, 1), ("A3", {"status": 502}, 2)]
)
def test_r4_a_record_whose_creation_nobody_answered_is_there_once(
    kommo: Company, at_point: Callable[..., None], fault: str, options: dict[str, Any], posts: int
) -> None:
    kommo.query(WRITTEN, ("create_task", "one"))
    kommo.query(WRITTEN, ("create_task", "two"))
    at_point("before sent", partial(kommo.sandbox.faults.set, fault, system="kommo", times=1, **options))
    assert sent(kommo).states == {"failed": 1}
    assert sent(kommo).states == {"confirmed": 2}, "in order, as both are about one lead"
    assert sorted(tasks(kommo)) == sorted(f"Call back [#{id}]" for (id,) in kommo.query("select id from sync.outbox"))
    posted = [r for r in kommo.sandbox.requests if r.method == "POST" and r.path.endswith("/tasks")]
    assert len(posted) == posts + 1


def test_r4_what_nobody_can_look_for_is_not_sent_again_unless_a_person_says_so(kommo: Company) -> None:
    kommo.query(WRITTEN, ("post_task", "one"))
    kommo.sandbox.faults.set("A4", system="kommo", path="/tasks$", times=1)
    assert sent(kommo).states == {"unknown": 1}
    assert not sent(kommo).states and len(tasks(kommo)) == 1
    with kommo.connected("kommo") as connection:
        assert len(requeue(connection.database, Which(account="kommo"), by="Anna")) == 1
    assert sent(kommo).states == {"confirmed": 1} and len(tasks(kommo)) == 2


def test_r5_a_blind_one_whose_worker_died_after_it_was_written_down_is_unknown(kommo: Company) -> None:
    kommo.query(WRITTEN, ("post_task", "one"))
    kommo.query(
        "update sync.outbox set state = 'sending', sent = payload, sent_at = now(), attempts = 1,"
        " leased_by = 'process 1 on elsewhere,', lease_until = now()"
    )
    assert sent(kommo).states == {"unknown": 1} and tasks(kommo) == []


def test_one_key_writes_one_letter(kommo: Company) -> None:
    kommo.query(WRITTEN, ("create_task", "one"))
    with pytest.raises(UniqueViolation):
        kommo.query(WRITTEN, ("create_task", "one"))
