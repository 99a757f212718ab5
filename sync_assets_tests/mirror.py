"""HubSpot's portal beside its mirror: what tests of it ask of both."""

from __future__ import annotations

from typing import Any, Literal

from sync_assets.sandbox.hubspot.company import HubSpotCompany
from sync_assets.sync import Outcome
from sync_assets_tests.company import Company

Way = Literal["full", "incremental"]
WAYS: tuple[Way, ...] = ("incremental", "full")

MOVING = ("contacts", "deals", "calls", "contact_associations", "deal_associations", "call_associations")
"""What the portal's people, deals and calls move. The rest of it stands still in these tests, and is in step."""


class Mirror:
    """A company whose portal is in step with Postgres when it is made."""

    def __init__(self, company: Company) -> None:
        self.company = company

    @property
    def portal(self) -> HubSpotCompany:
        return self.company.sandbox.world.hubspot

    def synced(self, kind: Way = "incremental", only: Any = MOVING, **request: Any) -> dict[str, Outcome]:
        return self.company.synced(kind, "hubspot", only, **request)

    def all_synced(self, kind: Way = "incremental") -> dict[str, Outcome]:
        return self.company.synced(kind, "hubspot")

    def some(self, entity: str = "contacts", count: int = 1, start: int = 10) -> list[int]:
        return self.portal.shelf(entity).ids[start : start + count]

    def held(self, entity: str = "contacts") -> set[int]:
        return {id for (id,) in self.company.query(f"select id from hubspot.{entity}")}

    def tombstones(self, entity: str = "contacts") -> dict[int, tuple[str, int | None]]:
        """state and merged_into by key; every one of them has its evidence."""
        found = self.company.query(
            "select key::bigint, state, merged_into::bigint, evidence from sync.tombstones where entity = %s", [entity]
        )
        assert all(evidence for *_, evidence in found)
        return {key: (state, into) for key, state, into, _ in found}

    def aliases(self, entity: str = "contacts") -> dict[int, int]:
        return dict(self.company.query("select old_id, id from hubspot.aliases where entity = %s", [entity]))

    def merged(self, entity: str = "contacts") -> dict[int, int]:
        """What the portal knows: old id -> the id of today."""
        found = self.company.sandbox.world.truth("hubspot", "merged")
        return {int(r["id"]): int(r["into"]) for r in found if r["object_type"] == entity}

    def assert_in_step(self) -> None:
        self.company.assert_world_equals_postgres("hubspot")
        self.company.assert_ledger_adds_up()
