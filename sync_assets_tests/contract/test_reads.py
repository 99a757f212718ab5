"""One record, however it is read, is stored as one and the same row; a read by time takes its own instant along."""

from datetime import datetime, timedelta
from typing import Any

from sync_assets_tests.company import Company
from sync_assets_tests.contract.declared import entities

SAMPLE = 12


def stored(company: Company, name: str, account: str) -> dict[str, Any]:
    """Rows without what tells when and by which read they came."""
    passing = {"seen", "sync_id", "payload_hash", "payload_shape", "first_seen_at", "synced_at"}
    rows = company.rows(name, account)
    return {str(row["id"]): {k: v for k, v in row.items() if k not in passing} for row in rows}


@entities(lambda entity: entity.one)
def test_a_record_read_by_id_is_the_row_that_the_listing_stored(synced: Company, account: str, name: str) -> None:
    before = stored(synced, name, account)
    ids = tuple(list(before)[:SAMPLE])
    outcome = synced.synced("selective", account, name, ids=ids)[name]
    assert stored(synced, name, account) == before
    assert (outcome.totals["fetched"], outcome.totals["unchanged"]) == (len(ids), len(ids))


@entities(lambda entity: entity.one)
def test_a_record_first_read_by_id_ends_as_the_row_of_the_listing(synced: Company, account: str, name: str) -> None:
    before = stored(synced, name, account)
    ids = tuple(list(before)[:SAMPLE])
    synced.query(f"delete from {account}.{name} where id::text = any(%s)", (list(ids),))
    synced.query("update sync.logs set deleted = deleted + %s where entity = %s and kind = 'full'", (len(ids), name))
    by_id = synced.synced("selective", account, name, ids=ids)[name]
    assert by_id.totals["created"] == len(ids)
    listed = synced.synced("full", account, name)[name]
    assert stored(synced, name, account) == before
    assert listed.totals["created"] == listed.totals["deleted"] == 0
    again = synced.synced("selective", account, name, ids=ids)[name]
    assert stored(synced, name, account) == before
    assert again.totals["updated"] == 0


@entities(lambda entity: entity.one)
def test_an_id_that_nobody_has_is_gone_and_says_how_we_know(synced: Company, account: str, name: str) -> None:
    outcome = synced.synced("selective", account, name, ids=("999999999",))[name]
    if (account, name) == ("bitrix", "users"):
        # Whom user.get does not show may be a buyer all the same.
        (evidence,) = outcome.unreachable.values()
        assert "does not show" in evidence and not outcome.gone
    else:
        (evidence,) = outcome.gone.values()
        assert evidence.startswith("asked for by id: ")
    assert outcome.totals["fetched"] == 0


@entities(lambda entity: entity.since)
def test_a_read_by_time_takes_its_own_instant_along_and_nothing_older(synced: Company, account: str, name: str) -> None:
    moments = sorted(datetime.fromisoformat(row["source_changed_at"]) for row in synced.rows(name, account))
    since = moments[-5]
    at = synced.synced("incremental", account, name, since=since)[name]
    after = synced.synced("incremental", account, name, since=since + timedelta(milliseconds=1))[name]
    assert at.totals["fetched"] == len([m for m in moments if m >= since])
    assert after.totals["fetched"] == len([m for m in moments if m > since])
