"""A company whose Kommo is acted upon: what tests of actions and sequences ask of both sides."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import yaml

from sync_assets.automation.actions import Action, Context, enqueue, parse_action
from sync_assets.automation.document import document
from sync_assets.automation.sequence_runs import start
from sync_assets.automation.sequence_steps import Worked, work_off
from sync_assets.automation.sequences import definitions
from sync_assets.send.deliver import Delivered, deliver
from sync_assets_tests.company import Company

Record = dict[str, Any]

NOTE = {"delay": "0m", "do": "add_note", "text": "Began"}
TASK = {"delay": "2d", "do": "create_task", "text": "Ask for a review"}
LOG = {"delay": "0m", "do": "log", "text": "{{sequence.name}} of {{key}}"}
WON, LOST = 142, 143


@dataclass
class Acting:
    company: Company
    folder: Path
    _numbers: Any = field(default_factory=lambda: count(1))

    @property
    def world(self) -> Any:
        return self.company.sandbox.world.kommo

    @property
    def leads(self) -> list[int]:
        return sorted(self.world.living["leads"])

    def action(self, do: str, **given: Any) -> Action:
        path = self.folder / f"action_{next(self._numbers)}.yaml"
        path.write_text(yaml.safe_dump({"do": do, **given}, allow_unicode=True))
        return parse_action(document(path))

    def raw(self, key: Any, entity: str = "leads", account: str = "kommo") -> Record | None:
        rows = self.company.query(f"select raw_json from {account}.{entity} where id = %s", (key,))
        return rows[0][0] if rows else None

    def context(self, key: Any, entity: str = "leads", account: str = "kommo", **more: Any) -> Context:
        record = self.raw(key, entity, account)
        given = {"after": record, "current": record, "cause": "a test", **more}
        return Context(account, account, entity, str(key), **given)

    def act(self, do: str, about: Any, /, *, entity: str = "leads", of: str = "kommo", **given: Any) -> int | None:
        """Puts it into the outbox; the id there."""
        return self.enqueue(do, about, entity=entity, of=of, unique=f"test:{next(self._numbers)}", **given)

    def enqueue(
        self, do: str, about: Any, /, *, unique: str, entity: str = "leads", of: str = "kommo", **given: Any
    ) -> int | None:
        action, context = self.action(do, **given), self.context(about, entity, of)
        with self.company.connected(of) as connection:
            return connection.database.transaction(
                lambda c: enqueue(c, action, context, idempotency_key=unique, depth=1)
            )

    def deliver(self, account: str = "kommo") -> Delivered:
        with self.company.connected(account) as connection:
            return deliver(connection)

    def due_now(self, seconds_ago: float = 0.0) -> None:
        """Every wait is over; what was sent was sent so long ago."""
        self.company.query(
            "update sync.outbox set next_try_at = clock_timestamp() where done_at is null;"
            "update sync.outbox set lease_until = clock_timestamp() where lease_until is not null;"
            "update sync.delivery set closed_until = null;"
            "update sync.outbox set sent_at = sent_at - make_interval(secs => %s) where done_at is null",
            (seconds_ago,),
        )

    def letters(self) -> list[tuple[str, str, str | None]]:
        found = self.company.query("select operation, state, reason from sync.outbox order by id")
        return [(operation, state, reason) for operation, state, reason in found]

    def states(self) -> list[str]:
        return [state for _, state, _ in self.letters()]

    def tasks(self, lead: int) -> list[Record]:
        """The tasks about a lead that our actions made, as the world has them."""
        fields = (thing.fields for thing in self.world.living["tasks"].values())
        return [f for f in fields if (f["entity_type"], f["entity_id"]) == ("leads", lead) and "[#" in f["text"]]

    def notes(self, lead: int) -> list[str]:
        return [n["params"]["text"] for n in self.world.notes["leads"].values() if n["entity_id"] == lead]

    def mark(self) -> int:
        return len(self.company.sandbox.requests)

    def sent(self, since: int = 0, method: str = "", path: str = "") -> list[str]:
        """What was asked of Kommo, as method and path."""
        kommo = (r for r in self.company.sandbox.requests[since:] if r.system == "kommo")
        return [f"{r.method} {r.path}" for r in kommo if r.method.startswith(method) and path in r.path]

    # Sequences.

    def sequence(self, key: str = "after_sale", **given: Any) -> None:
        """Writes the file of a sequence."""
        (self.folder / "sequences").mkdir(exist_ok=True)
        spec = {"key": key, "name": key.replace("_", " ").capitalize(), "enrol": {"on": "rule"}, **given}
        plain = json.loads(json.dumps(spec))  # what comes twice is written twice, and not as an anchor
        (self.folder / "sequences" / f"{key}.yaml").write_text(yaml.safe_dump(plain, sort_keys=False))

    def work(self, *, now: datetime | None = None, seconds: float = 60.0) -> Worked:
        found, wrong = definitions(self.folder)
        with self.company.connected("kommo") as connection:
            return work_off(connection.database, ["kommo"], found, whole=not wrong, now=now, seconds=seconds)

    def enrol(self, lead: int, key: str = "after_sale", event: int | None = None) -> str | None:
        """What start_sequence does; the execution's id."""
        context = self.context(lead)
        with self.company.connected("kommo") as connection:
            return connection.database.transaction(
                lambda c: start(
                    c,
                    key,
                    account="kommo",
                    system="kommo",
                    entity="leads",
                    key=str(lead),
                    record=context.current,
                    by="a test",
                    event=event,
                    depth=1,
                )
            )

    def runs(self, key: str = "after_sale") -> list[tuple[Any, ...]]:
        """Status, step and reason of each, the oldest first."""
        query = (
            "select status, current_step, reason from sync.sequence_runs where sequence_key = %s order by started_at"
        )
        return self.company.query(query, (key,))

    def steps(self) -> list[tuple[Any, ...]]:
        return self.company.query("select step, action, state from sync.sequence_steps order by at, step")

    def activities(self) -> list[str]:
        query = "select activity from sync.activity_logs where activity like 'sequence_%' order by id"
        return [activity for (activity,) in self.company.query(query)]

    def edit(self, lead: int, **fields: Any) -> None:
        """Somebody changes it in Kommo, and a sync tells of it."""
        self.company.sandbox.world.clock.advance(60)
        self.world.update("leads", lead, **fields)
        self.company.synced("reconcile", "kommo", "leads", ids=(str(lead),))

    def kill(self, module: str, point: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs a module of these tests in a process that dies at a point."""
        return subprocess.run(
            [sys.executable, "-m", f"sync_assets_tests.automation.{module}", *arguments],
            env={"PATH": os.defpath, **self.company.env, "SYNC_ASSETS_CRASH_AT": point},
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip


Open = Callable[..., Acting]


@pytest.fixture
def open_acting(make_company: Callable[..., Company], make_sandbox: Any, tmp_path: Path) -> Open:
    """open_acting(switches={}, **env) -> a company whose leads, contacts and pipelines are mirrored; all may leave."""

    def make(switches: dict[str, str] | None = None, **env: str | None) -> Acting:
        settings = {
            "SYNC_WAY_BACK": "on", "SYNC_WAY_BACK_FUSE_PERCENT": "100", "SYNC_AUTOMATION_FOLDER": str(tmp_path), **env,
        }  # fmt: skip
        sandbox = make_sandbox(switches={"kommo.leads": "12", **(switches or {})})
        company = make_company(sandbox, **settings)
        company.synced("full", "kommo", ["pipelines", "statuses", "leads", "contacts"])
        return Acting(company, tmp_path)

    return make


@pytest.fixture
def acting(open_acting: Open) -> Acting:
    return open_acting()


def later(**span: float) -> datetime:
    return datetime.now(UTC) + timedelta(**span)


def due(acting: Acting) -> datetime:
    """When the one active run is due."""
    ((at,),) = acting.company.query("select next_at from sync.sequence_runs where status = 'active'")
    assert isinstance(at, datetime)
    return at


def open_leads(acting: Acting) -> list[int]:
    return [lead for lead in acting.leads if (acting.raw(lead) or {})["status_id"] not in (WON, LOST)]
