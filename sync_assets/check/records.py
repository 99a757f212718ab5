"""Records: none refused, none unaccounted for, and no field lost by all of them at once."""

from __future__ import annotations

from sync_assets.check.finding import SAMPLE, Finding, Scope

REJECTED = """
select coalesce(key, 'no key'), coalesce(field, ''), reason from sync.rejected
 where account = %(account)s and entity = %(entity)s and not kept
   and (%(syncs)s::bigint[] = '{}' or sync_id = any(%(syncs)s)) order by last_at desc
"""

UNBALANCED = """
select id from sync.logs
 where account = %(account)s and entity = %(entity)s and (%(syncs)s::bigint[] = '{}' or id = any(%(syncs)s))
   and fetched <> created + updated + unchanged + stale + repeated + rejected
"""


def nothing_rejected(scope: Scope) -> Finding:
    """No record was refused."""
    found = scope.ask(REJECTED, scope.where)
    if not found:
        return Finding("nothing_rejected", True, "every record was stored", "WARN")
    return Finding(
        "nothing_rejected",
        False,
        f"{len(found)} records were refused; their bytes are in sync.rejected",
        "WARN",
        {
            "count": len(found),
            "sample": [f"{key}{f' {field}' if field else ''}: {reason}" for key, field, reason in found[:SAMPLE]],
            "query": scope.listing("rejected", "entity"),
        },
    )


def fields_present(scope: Scope) -> Finding:
    """No field that every record had is gone from all of them; no column lost the field that it is derived from."""
    row = scope.ask(
        "select fields -> 'gone' from sync.metadata where account = %(account)s and entity = %(entity)s", scope.where
    )
    gone = row[0][0] if row and row[0][0] else []
    if not gone:
        return Finding("fields_present", True, "every field that records have had still comes")
    # A field inside a part (/properties/x) was retired by its owner: that matters to us where a column shows it.
    paths = {name: f"'{{{name[1:].replace('/', ',')}}}'" for name in gone}
    columns = {c.name: name for c in scope.own.typed for name in gone if paths[name] in (c.source or "")}
    inside = [name for name in gone if name.startswith("/")]
    lost = ", ".join([name for name in gone if name not in inside] + [f"{n} (column {c})" for c, n in columns.items()])
    return Finding(
        "fields_present",
        False,
        f"the source no longer sends {lost or ', '.join(inside)}; the last known values are kept",
        "ERROR" if lost else "WARN",
        facts={
            "count": len(gone),
            "fields": gone,
            "columns": columns,
            "next_step": "if the API really dropped them: update sync.metadata set fields = null for this entity",
        },
    )


def ledger_adds_up(scope: Scope) -> Finding:
    """Every record that was fetched is created, updated, unchanged, stale, repeated or rejected."""
    found = scope.ask(UNBALANCED, scope.where)
    return Finding(
        "ledger_adds_up",
        not found,
        "the ledger adds up" if not found else f"{len(found)} syncs do not add up",
        facts={"count": len(found), "sample": [i for (i,) in found[:SAMPLE]]},
    )
