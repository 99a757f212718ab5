"""A complete sync makes Postgres equal to the source, and a second one finds nothing to do."""

import pytest

from sync_assets_tests.company import Company

ACCOUNTS = ("kaiten", "worksection")


@pytest.mark.parametrize("account", ACCOUNTS)
def test_a_full_sync_equals_the_world(company: Company, account: str) -> None:
    done = company.synced("full", account)
    assert all(o.totals["fetched"] == o.totals["created"] == o.rows for o in done.values())
    company.assert_world_equals_postgres(account)
    company.assert_ledger_adds_up()
