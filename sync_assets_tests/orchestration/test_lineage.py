"""Column lineage: complete, and of columns that are there; beside it the same in words, for who reads a schema."""

import dagster as dg
import pytest

from sync_assets.entity import Inside
from sync_assets.orchestration.lineage import column_description, column_lineage, derived_lineage
from sync_assets_tests.company import Company
from sync_assets_tests.contract.declared import NAMES


def columns(company: Company) -> set[tuple[str, str, str]]:
    return set(company.query("select table_schema, table_name, column_name from information_schema.columns"))


def told(lineage: dg.TableColumnLineage) -> dict[str, set[tuple[str, ...]]]:
    return {n: {(*d.asset_key.path, d.column_name) for d in deps} for n, deps in lineage.deps_by_column.items()}


@pytest.mark.parametrize("name", NAMES)
def test_each_column_comes_from_columns_that_are_there(company: Company, name: str) -> None:
    there, account = columns(company), company.accounts[name]
    with company.connected(name) as connection:
        for entity in account.entities:
            target = connection.target(entity.name)
            found = told(column_lineage(account, target))
            assert {dep for deps in found.values() for dep in deps} <= there
            typed = {c.name for c in target.typed if "raw_json" in (c.expression or "")}
            assert typed <= found.keys() <= {c.name for c in target.columns} and set(entity.keys) <= typed
            assert all((name, entity.name, "raw_json") in found[column] for column in typed)
            for link in entity.links:
                for own in link.names:
                    assert any(dep[1] == link.to for dep in found[own]), (entity.name, own)
                    column = next(c for c in target.columns if c.name == own)
                    assert f"Leads to `{link.to}." in column_description(account, entity, column)
            for read in entity.reads:
                if isinstance(read, Inside):
                    assert (name, read.parent, "raw_json") in found["raw_json"]
    for derived in account.system.derived:
        found = told(derived_lineage(account, derived))
        own = {c for schema, table, c in there if (schema, table) == (name, derived.name)}
        assert found.keys() == own - {"synced_at"}
        deps = {dep for deps in found.values() for dep in deps}
        assert deps <= there and {dep[1] for dep in deps} == {source.entity for source in derived.sources}


def test_a_columns_field_is_told_where_its_name_does_not(company: Company) -> None:
    account = company.accounts["kaiten"]
    with company.connected() as connection:
        values, cards = connection.target("property_values"), connection.target("cards")
    said = {c.name: column_description(account, values.entity, c) for c in values.columns}
    assert said["property_id"] == "Field `custom_property_id`. Leads to `property_definitions.id`"
    said = {c.name: column_description(account, cards.entity, c) for c in cards.columns}
    assert said["title"] == "" and said["state"] == "1 queued, 2 in progress, 3 done"
    assert said["raw_json"] == "The record as the source sent it"
