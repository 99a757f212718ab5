"""Declarations and the database's own catalog agree, in both directions."""

from collections.abc import Iterator
from typing import Any

import pytest

from sync_assets.entity import Each, Entity, Inside, Link, Whole, in_sync_order
from sync_assets.load.target import RECORD
from sync_assets_tests.company import Company
from sync_assets_tests.contract.declared import ACCOUNTS, entities

COLUMNS = """
select a.attname, format_type(a.atttypid, a.atttypmod), a.attgenerated, pg_get_expr(d.adbin, d.adrelid)
  from pg_attribute a left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
 where a.attrelid = %s::regclass and a.attnum > 0 and not a.attisdropped
"""
PRIMARY_KEY = """
select a.attname from pg_index i cross join lateral unnest(i.indkey) with ordinality k(number, place)
  join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.number
 where i.indrelid = %s::regclass and i.indisprimary order by k.place
"""
TABLES = "select table_name from information_schema.tables where table_schema = %s and table_type = 'BASE TABLE'"
GOOD_CASTS = """
select wanted from unnest(%s::text[]) wanted join pg_proc p on p.oid = to_regproc(wanted)
 where p.provolatile = 'i' and p.pronargs = 1 and p.proargtypes[0] = 'text'::regtype
"""


class Catalog:
    """A table as Postgres describes it, under an empty search_path so that every name is spelled in full."""

    def __init__(self, company: Company, table: str) -> None:
        self._company = company
        found = company.query(f"set search_path = ''; {COLUMNS}", (table,))
        self.types = {name: kind for name, kind, _, _ in found}
        self.generated = {name: (how, expression) for name, _, how, expression in found if how}
        self.key = tuple(name for (name,) in company.query(PRIMARY_KEY, (table,)))

    def complaints(self) -> Iterator[str]:
        """What is wrong with generated columns: each must be exactly sync.to_<kind>(<text expression>), stored."""
        sources = {}
        for name, (how, expression) in self.generated.items():
            call, _, rest = expression.partition("(")
            if how != "s":
                yield f"{name} is not STORED"
            elif not call.startswith("sync.to_") or not _closes_at_the_end("(" + rest):
                yield f"{name} is not one call of sync.to_...: {expression}"
            else:
                sources[name] = call, rest.removesuffix(")")
        casts = {call for call, _ in sources.values()}
        kinds = {call for (call,) in self._company.query(GOOD_CASTS, (sorted(casts),))}
        yield from (f"{call} is no immutable function of one text" for call in casts - kinds)
        if not sources:
            return
        types = ", ".join(f"pg_typeof({source})::text" for _, source in sources.values())
        (given,) = self._company.query(f"select {types} from (select '{{}}'::jsonb as raw_json) record")
        for name, kind in zip(sources, given, strict=True):
            if kind != "text":
                yield f"{name} casts {kind} without a declared format"


def _closes_at_the_end(call: str) -> bool:
    """Whether the first parenthesis is closed by the last character; what is quoted does not count."""
    depth, quoted = 0, False
    for at, character in enumerate(call):
        quoted ^= character == "'"
        if not quoted:
            depth += (character == "(") - (character == ")")
            if depth == 0:
                return at == len(call) - 1
    return False


@entities()
def test_an_entity_has_its_table_with_its_key(synced: Company, account: str, name: str) -> None:
    catalog = Catalog(synced, f"{account}.{name}")
    assert catalog.key == synced.entity(name, account).keys
    assert {*RECORD, *synced.entity(name, account).own} <= catalog.types.keys()
    assert catalog.types["source_changed_at"] == "timestamp with time zone"


@entities()
def test_every_typed_column_is_one_cast_of_a_text(synced: Company, account: str, name: str) -> None:
    catalog = Catalog(synced, f"{account}.{name}")
    assert catalog.generated.keys() == catalog.types.keys() - {*RECORD, *synced.entity(name, account).own}
    assert not list(catalog.complaints())


@entities(lambda entity: entity.links)
def test_links_name_columns_of_the_type_of_their_target(synced: Company, account: str, name: str) -> None:
    child = Catalog(synced, f"{account}.{name}")
    for link in synced.entity(name, account).links:
        parent = Catalog(synced, f"{account}.{link.to}")
        on = ((link.on,) if isinstance(link.on, str) else link.on) or parent.key
        assert [child.types[c] for c in link.names] == [parent.types[c] for c in on], link


@pytest.mark.parametrize("account", ACCOUNTS, ids=lambda account: account.name)
def test_every_table_of_an_account_is_an_entity(synced: Company, account: Any) -> None:
    tables = {name for (name,) in synced.query(TABLES, (account.name,))}
    assert tables == {e.name for e in account.entities} | {d.name for d in account.system.derived}


@pytest.mark.parametrize("account", ACCOUNTS, ids=lambda account: account.name)
def test_the_order_of_sync_puts_parents_first(account: Any) -> None:
    ordered = [e.name for e in in_sync_order(account.entities)]
    assert sorted(ordered) == sorted(e.name for e in account.entities)
    for entity in account.entities:
        parents = (*entity.structural_parents(), *entity.optional_parents())
        assert all(ordered.index(p) < ordered.index(entity.name) for p in parents)


@pytest.mark.parametrize(
    "expression",
    [
        "(raw_json ->> 'a')::bigint",
        "sync.to_text(raw_json ->> 'a') || sync.to_text(raw_json ->> 'b')",
        "coalesce(sync.to_whole(raw_json ->> 'a'), 0)",
        "sync.to_whole((raw_json -> 'a')::text) + 1",
        "length(raw_json ->> 'a')",
    ],
)
def test_another_kind_of_generated_column_is_refused(company: Company, expression: str) -> None:
    company.query(
        f"create table own (raw_json jsonb, wrong text generated always as (({expression})::text) stored,"
        " right_one text generated always as (sync.to_text(raw_json ->> 'a (or b'')')) stored)"
    )
    (complaint,) = Catalog(company, "public.own").complaints()
    assert complaint.startswith("wrong is not one call")


def test_a_virtual_column_is_refused(company: Company) -> None:
    company.query("create table own (raw_json jsonb, a text generated always as (raw_json ->> 'a') virtual)")
    assert list(Catalog(company, "public.own").complaints()) == ["a is not STORED"]


def test_a_ring_of_structural_links_is_refused() -> None:
    ring = [
        Entity("a", links=(Link("b_id", "b"),)),
        Entity("b", read=Each("c", Whole("/b"))),
        Entity("c", read=Inside("a", ("$",))),
    ]
    with pytest.raises(ValueError, match="form a ring: a -> b -> c -> a"):
        in_sync_order(ring)


def test_a_ring_of_optional_links_is_none() -> None:
    ring = [
        Entity("a", links=(Link("b_id", "b", order=False), Link("a_id", "a"))),
        Entity("b", links=(Link("x", "a"),)),
    ]
    assert [e.name for e in in_sync_order(ring)] == ["a", "b"]


def test_an_optional_parent_is_synced_first() -> None:
    declared = [
        Entity("a", links=(Link("b_id", "b", order=False),)),
        Entity("b", read=Inside("c", ("$",))),
        Entity("c"),
    ]
    assert [e.name for e in in_sync_order(declared)] == ["c", "b", "a"]


def test_a_link_to_nowhere_is_refused() -> None:
    with pytest.raises(ValueError, match="a links to b, which is no entity"):
        in_sync_order([Entity("a", links=(Link("b_id", "b"),))])
