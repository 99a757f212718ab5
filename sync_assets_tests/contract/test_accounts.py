"""Two accounts of one system side by side share code and nothing else."""

from collections.abc import Callable

import pytest

from sync_assets.errors import SyncError
from sync_assets.load.ledger import Ledger
from sync_assets.sandbox.server import Sandbox
from sync_assets_tests.company import Company


@pytest.fixture
def both(make_company: Callable[..., Company], make_sandbox: Callable[..., Sandbox]) -> Company:
    emea = make_sandbox(seed=2, cards=120)
    company = make_company(
        KAITEN_EMEA_API_URL=emea.kaiten_url, KAITEN_EMEA_API_TOKEN=emea.kaiten_token, KAITEN_EMEA_RATE="0"
    )
    company.worlds["kaiten_emea"] = emea
    company.migrate()
    return company


def test_each_account_equals_its_own_world(both: Company) -> None:
    both.synced("full", "kaiten")
    assert both.count("cards", "kaiten_emea") == 0
    both.synced("full", "kaiten_emea")
    for account in ("kaiten", "kaiten_emea"):
        both.assert_world_equals_postgres(account)
    shared = both.raw("cards").keys() & both.raw("cards", "kaiten_emea").keys()
    assert shared, "the two worlds have no card id in common: this test would prove nothing"
    both.assert_ledger_adds_up()


def test_metadata_ledger_and_budgets_are_kept_by_account(both: Company) -> None:
    both.synced("full", "kaiten")
    held = "select account, entity, watermark, rows from sync.metadata where entity = 'cards' order by 1"
    ((_, _, watermark, rows),) = both.query(held)
    both.synced("full", "kaiten_emea", "cards")
    first, second = both.query(held)
    assert first == ("kaiten", "cards", watermark, rows)
    assert second[0] == "kaiten_emea" and (second[2], second[3]) != (watermark, rows)
    with both.connected("kaiten") as one, both.connected("kaiten_emea") as other:
        one.budget.pause("api", 30)
        paused = "select paused_until > now() from sync.budgets where account = %s and bucket = 'api'"
        assert one.meter.query(paused, ("kaiten",)) == (True,)
        assert other.meter.query(paused, ("kaiten_emea",)) in ((), (False,))


def test_a_lease_holds_back_its_own_account_only(both: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sync_assets.load.ledger.WAIT_FOR_LEASE", 0.1)
    with both.connected("kaiten") as connection:
        ledger = Ledger(
            connection.database,
            both.accounts["kaiten"],
            both.entity("tags"),
            kind="full",
            run_id=None,
            lease_seconds=60,
        )
        ledger.open()
        busy = both.sync("full", "kaiten", "tags")["tags"]
        assert isinstance(busy, SyncError) and "already running" in str(busy)
        both.synced("full", "kaiten_emea", "tags")
        ledger.close("success")
    both.synced("full", "kaiten", "tags")


def test_a_deletion_in_one_account_leaves_the_other_alone(both: Company) -> None:
    for account in ("kaiten", "kaiten_emea"):
        both.synced("full", account, "tags")
    tag = min(both.raw("tags").keys() & both.raw("tags", "kaiten_emea").keys())
    both.sandbox.world.kaiten.delete_tag(tag)
    both.synced("full", "kaiten", "tags")
    assert both.query("select account, key from sync.tombstones") == [("kaiten", str(tag))]
    assert tag in both.raw("tags", "kaiten_emea")


def test_a_token_refused_by_one_account_is_the_other_ones_none_of_business(both: Company) -> None:
    both.sandbox.faults.set("A11", system="kaiten")
    refused = both.sync("full", "kaiten", "tags")["tags"]
    assert isinstance(refused, SyncError) and "kaiten" in str(refused)
    both.synced("full", "kaiten_emea", "tags")
    both.sandbox.faults.clear()
    both.synced("full", "kaiten", "tags")
