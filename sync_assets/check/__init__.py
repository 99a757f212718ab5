"""Proofs about what is stored, generated from the declarations; each finding names its rows and the query behind it.

After a sync only the rows of that sync are looked at; without sync ids the whole table is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from sync_assets.check.finding import Finding, Scope
from sync_assets.check.integrity import links_resolve
from sync_assets.check.records import fields_present, ledger_adds_up, nothing_rejected
from sync_assets.check.values import columns_parse, values_known
from sync_assets.check.volume import fresh, totals_match, volume
from sync_assets.entity import Entity

CHECKS: Mapping[str, Callable[[Scope], Finding]] = {
    check.__name__: check
    for check in (
        links_resolve,
        columns_parse,
        values_known,
        nothing_rejected,
        fields_present,
        ledger_adds_up,
        volume,
        totals_match,
        fresh,
    )
}
"""Every check by its name; the first line of its docstring describes it in the UI."""

__all__ = ["CHECKS", "Finding", "Scope", "check_entity", "checks_of"]


def checks_of(entity: Entity) -> list[str]:
    """The names of the checks that could find something about an entity: one that cannot go red proves nothing."""
    pointless = {
        name
        for name, needed in (
            ("links_resolve", entity.links),
            ("values_known", entity.codes),
            ("totals_match", entity.tells_totals),
        )
        if not needed
    }
    return [name for name in CHECKS if name not in pointless]


def check_entity(scope: Scope, names: Sequence[str] | None = None) -> list[Finding]:
    """The findings about one entity, of all its checks where none is named. Raises the SyncErrors of the database."""
    return [CHECKS[name](scope) for name in (checks_of(scope.entity) if names is None else names)]
