"""Proofs about what is stored, generated from the declarations; each finding names its rows and the query behind it.

After a sync only the rows of that sync are looked at; without sync ids the whole table is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from sync_assets.check.finding import Finding, Scope
from sync_assets.check.integrity import links_resolve
from sync_assets.check.records import fields_present, ledger_adds_up, nothing_rejected
from sync_assets.check.values import columns_parse, values_known
from sync_assets.check.volume import fresh, volume

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
        fresh,
    )
}
"""Every check by its name; the first line of its docstring describes it in the UI."""

__all__ = ["CHECKS", "Finding", "Scope", "check_entity"]


def check_entity(scope: Scope, names: Sequence[str] = tuple(CHECKS)) -> list[Finding]:
    """All findings about one entity. Raises the SyncErrors of the database."""
    return [CHECKS[name](scope) for name in names]
