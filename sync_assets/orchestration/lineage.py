"""Where each column comes from, out of the declarations: Dagster's column lineage, and words for people beside it.

Typed columns come from their own row's `raw_json`; a link's columns hold the key of a parent; what came inside a
parent's answer comes from the parent's `raw_json`; a derived column from what its declaration names.
"""

from __future__ import annotations

from collections.abc import Iterator

import dagster as dg

from sync_assets.account import Account
from sync_assets.entity import Derived, Each, Entity, Inside, Link
from sync_assets.load.target import FIELD, Column, Target

WHOLE = "raw_json"


def column_lineage(account: Account, target: Target) -> dg.TableColumnLineage:
    """Only of columns that the table has; parents are named by their tables' columns."""
    entity = target.entity
    parents = _parents(account, entity)
    deps: dict[str, list[dg.TableColumnDep]] = {}
    for column in target.columns:
        found = [(entity.name, WHOLE)] if WHOLE in (column.expression or "") else []
        found += parents.get(column.name, [])
        if column.name == WHOLE:
            found += [(read.parent, WHOLE) for read in entity.reads if isinstance(read, Inside)]
            found += [(read.parent, _key(account, read.parent)) for read in entity.reads if isinstance(read, Each)]
        if found:
            deps[column.name] = [_dep(account, *one) for one in dict.fromkeys(found)]
    return dg.TableColumnLineage(deps)


def derived_lineage(account: Account, derived: Derived) -> dg.TableColumnLineage:
    return dg.TableColumnLineage(
        {name: [_dep(account, *source) for source in sources] for name, sources in derived.lineage.items()}
    )


def column_description(account: Account, entity: Entity, column: Column) -> str:
    """What the table's comment says, which field it is where its name does not tell, and where it leads."""
    field = FIELD.match(column.source or "")
    parts = [(column.comment or "").strip().rstrip(".")]
    if field and field.group(1) != column.name:
        parts.append(f"Field `{field.group(1)}`")
    elif column.source and WHOLE in column.source and not field and not parts[0]:
        parts.append(f"From `{column.source}`")
    parts += [f"Leads to `{to}.{name}`" for to, name in _parents(account, entity).get(column.name, [])]
    return ". ".join(part for part in parts if part)


def _parents(account: Account, entity: Entity) -> dict[str, list[tuple[str, str]]]:
    """Of each column of a link, the columns of the parents that it may name."""
    found: dict[str, list[tuple[str, str]]] = {}
    for link in entity.links:
        for own, name in _pairs(account, link):
            found.setdefault(own, []).append((link.to, name))
    return found


def _pairs(account: Account, link: Link) -> Iterator[tuple[str, str]]:
    on = (link.on,) if isinstance(link.on, str) else link.on
    yield from zip(link.names, on or account.entity(link.to).keys, strict=True)


def _key(account: Account, name: str) -> str:
    return account.entity(name).keys[0]


def _dep(account: Account, name: str, column: str) -> dg.TableColumnDep:
    return dg.TableColumnDep(dg.AssetKey([account.name, name]), column)
