"""A company whose Kommo obeys rules: what tests of rules write into its folder, and ask of both sides."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from sync_assets.automation.reactions import Reacted, Reactions
from sync_assets.automation.rule_work import work_off
from sync_assets.automation.rules import rules
from sync_assets.send.deliver import Delivered, deliver
from sync_assets_tests.company import Company
from sync_assets_tests.inbox.hints import hint, worked_off

RULE = """
key: {key}
name: "{name}"
on: {{source: kommo, entity: lead, event: {event}}}
{more}
actions:
{actions}
"""

MIRRORED = ["users", "pipelines", "statuses", "custom_fields", "leads", "contacts", "tasks"]


@dataclass
class Ruled:
    company: Company
    folder: Path
    _reactions: Reactions | None = field(default=None, repr=False)

    @property
    def world(self) -> Any:
        return self.company.sandbox.world.kommo

    @property
    def leads(self) -> list[int]:
        """Those that are not won or lost."""
        living = self.world.living["leads"]
        return sorted(id for id, thing in living.items() if thing.fields["status_id"] not in (142, 143))

    def rule(self, key: str, *actions: str, event: str = "stage_changed", more: str = "", name: str = "") -> Path:
        """Writes the file of a rule; an action is the inside of its braces."""
        path = self.folder / "rules" / f"{key}.yaml"
        path.parent.mkdir(exist_ok=True)
        lines = "\n".join(f"  - {{{action}}}" for action in actions or ('do: log, text: "seen"',))
        path.write_text(RULE.format(key=key, name=name or key.capitalize(), event=event, more=more, actions=lines))
        return path

    def react(self, **more: Any) -> Reacted:
        """One go of a new process."""
        reactions = Reactions([self.company.accounts["kommo"]], self.company.settings)
        try:
            return reactions.react(**more)
        finally:
            reactions.close()

    def take_up(self) -> int:
        """How many changes the rules alone can take up now."""
        with self.company.connected("kommo") as connection:
            return work_off(connection.database, ["kommo"], rules(self.folder)[0]).changes

    def move(self, *leads: int, status: int = 142) -> None:
        """Somebody moves leads, and a webhook tells of it."""
        self.company.sandbox.world.clock.advance(60)
        for lead in leads:
            self.world.move(lead, status)
        self.look(*leads)

    def look(self, *keys: int, entity: str = "leads") -> None:
        hint(self.company, "kommo", entity, *keys)
        worked_off(self.company, "kommo")

    def deliver(self) -> Delivered:
        with self.company.connected("kommo") as connection:
            return deliver(connection)

    def runs(self, rule: str | None = None) -> list[tuple[str, str, str | None]]:
        """Record, state and reason of each, in order."""
        query = "select key, state, reason from sync.rule_runs where %s::text is null or rule_key = %s order by id"
        return [(key, state, reason) for key, state, reason in self.company.query(query, (rule, rule))]

    def states(self, rule: str | None = None) -> list[str]:
        return [state for _, state, _ in self.runs(rule)]

    def letters(self) -> list[tuple[str, str, str]]:
        return self.company.query("select operation, key, state from sync.outbox order by id")

    def activities(self) -> list[Mapping[str, Any]]:
        query = "select details from sync.activity_logs where activity = 'rule_executed' order by id"
        return [details for (details,) in self.company.query(query)]

    def logged(self) -> int:
        """How often the action `log` was carried out."""
        ((count,),) = self.company.query("select count(*) from sync.activity_logs where activity = 'automation_log'")
        return int(count)

    def tasks(self, lead: int) -> list[str]:
        """The texts of the lead's tasks that we made, as the world has them."""
        fields = (thing.fields for thing in self.world.living["tasks"].values())
        return [
            f["text"] for f in fields if (f["entity_type"], f["entity_id"]) == ("leads", lead) and "[#" in f["text"]
        ]


Open = Callable[..., Ruled]


@pytest.fixture
def open_ruled(make_company: Callable[..., Company], make_database: Callable[..., str], tmp_path: Path) -> Open:
    """open_ruled(**env) -> a company in step with its sandbox, whose changes may leave."""

    def make(**env: str) -> Ruled:
        settings = {
            "SYNC_WAY_BACK": "on", "SYNC_WAY_BACK_FUSE_PERCENT": "100", "SYNC_AUTOMATION_FOLDER": str(tmp_path), **env,
        }  # fmt: skip
        return Ruled(make_company(database_url=make_database(grown=True), **settings), tmp_path)

    return make


@pytest.fixture
def ruled(open_ruled: Open) -> Ruled:
    return open_ruled()
