"""One check, asked about one entity of a company."""

from collections.abc import Sequence

from sync_assets.check import Finding, Scope, check_entity
from sync_assets_tests.company import Company


def look(
    company: Company, check: str, entity: str = "cards", account: str = "kaiten", syncs: Sequence[int] = ()
) -> Finding:
    """What `check` finds in the rows of `syncs`, or in the whole table."""
    with company.connected(account) as connection:
        scope = Scope(connection.database, company.settings, company.entity(entity, account), connection.target)
        (finding,) = check_entity(Scope(**{**vars(scope), "sync_ids": tuple(syncs)}), [check])
    assert finding.name == check
    return finding


def found_by_its_query(company: Company, finding: Finding) -> list[str]:
    """The first column of what a person gets who runs the query of a finding."""
    return [str(row[0]) for row in company.query(finding.facts["query"])]
