"""S9: who is forgotten is nowhere but for the key, a receipt says so, and only the source brings them back."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from sync_assets.errors import FixConfig
from sync_assets.load.inbox import Accepted
from sync_assets.receive.inbox import decoder, encoder
from sync_assets.receive.spool import Spool
from sync_assets.upkeep.forgetting import (
    Forgotten,
    LetterUnderWayError,
    NothingFoundError,
    StillThereError,
    forget,
)
from sync_assets_tests.automation.ruling import Ruled
from sync_assets_tests.company import Company
from sync_assets_tests.inbox.hints import hint, worked_off
from sync_assets_tests.load.hand import hand
from sync_assets_tests.mirror import WAYS, Mirror
from sync_assets_tests.systems.test_hubspot_erasure import EMAIL, KEPT, PERSON, person, places
from sync_assets_tests.upkeep.aged import tables

NAME = "Неповторима Единственная"


def forgotten(company: Company, account: str, entity: str, key: Any, **how: Any) -> Forgotten:
    with company.connected(account) as connection:
        return forget(connection, entity, str(key), by="Vera", **how)


def receipts(company: Company) -> list[Any]:
    return company.query("select account, entity, by, blocked, rows from sync.erasures order by id")


def test_s9_a_person_is_forgotten_everywhere_with_a_receipt(mirror: Mirror) -> None:
    company = mirror.company
    id = person(mirror, damaged="V1")
    hint(company, "hubspot", "contacts", id, payload=json.dumps({"email": EMAIL}).encode())
    worked_off(company, "hubspot")
    assert places(company, EMAIL) >= {"hubspot.contacts", "sync.rejected"}
    mirror.portal.gdpr_delete(id)
    done = forgotten(company, "hubspot", "contacts", id)
    assert done.standing.state == "gone" and done.rows["hubspot.contacts"] == 1
    assert places(company, *PERSON) <= KEPT
    assert company.query("select count(payload) from sync.webhook_events") == [(0,)]
    assert mirror.tombstones()[id] == ("erased", None)

    assert receipts(company) == [("hubspot", "contacts", "Vera", False, done.rows)]
    found = f"select id from sync.erasures where records @> array[sha256('hubspot/contacts/{id}')]"
    assert company.query(found) == [(done.receipt,)]
    whole = company.query("select e::text from sync.erasures e")[0][0]
    assert str(id) not in whole and EMAIL not in whole
    assert done.pointing == {"contact_associations.id": 2}, "its call and its deal"

    for way in WAYS:
        mirror.synced(way)
    assert id not in mirror.held() and places(company, *PERSON) <= KEPT
    mirror.assert_in_step()


def test_s9_whoever_the_source_still_has_is_not_erased_without_saying_so(mirror: Mirror) -> None:
    company = mirror.company
    id = person(mirror)
    before = tables(company)
    with pytest.raises(StillThereError) as told:
        forgotten(company, "hubspot", "contacts", id)
    assert "erase it in the source" in str(told.value) and str(id) not in str(told.value)
    after = tables(company)
    assert {name for name in after if after[name] != before[name]} <= {("sync", "budgets")}

    forgotten(company, "hubspot", "contacts", id, anyway=True)
    assert places(company, *PERSON) <= KEPT and id not in mirror.held()
    company.assert_ledger_adds_up()
    mirror.synced("full")
    assert id in mirror.held(), "the source has the last word"
    mirror.assert_in_step()


@pytest.mark.parametrize("way", ["full", "incremental", "webhook"])
def test_s9_whoever_is_blocked_never_comes_back(mirror: Mirror, way: str) -> None:
    company = mirror.company
    id = person(mirror)
    assert forgotten(company, "hubspot", "contacts", id, block=True).standing.state == "there"
    mirror.portal.update("contacts", id, city="Томск")
    if way == "webhook":
        hint(company, "hubspot", "contacts", id)
        assert worked_off(company, "hubspot").problems == []
    else:
        assert mirror.synced(way)["contacts"].totals["stale"] >= 1  # type: ignore[arg-type]
    assert id not in mirror.held() and places(company, *PERSON) <= KEPT
    assert [blocked for *_, blocked, _ in receipts(company)] == [True]
    company.assert_ledger_adds_up()


def test_s9_what_was_read_before_cannot_bring_anybody_back(grown: Company) -> None:
    account, entity = grown.accounts["kaiten"], grown.entity("cards")
    (key, record), *_ = sorted(grown.raw("cards").items())
    with hand(grown.database_url, account, entity) as page:
        (early,) = page.database.query("select nextval('sync.seen')")
        forgotten(grown, "kaiten", "cards", key, anyway=True)
        (late,) = page.database.query("select nextval('sync.seen')")
        assert page.load(record | {"title": "x"}, seen=early).stale == 1 and key not in grown.raw("cards")
        assert page.load(record | {"title": "x"}, seen=late).created == 1


def test_s9_a_dry_run_says_the_same_and_changes_nothing(mirror: Mirror) -> None:
    company = mirror.company
    id = person(mirror, damaged="V1")
    before = tables(company)
    foreseen = forgotten(company, "hubspot", "contacts", id, dry=True)
    after = tables(company)
    assert {name for name in after if after[name] != before[name]} <= {("sync", "budgets")}
    assert (foreseen.standing.state, foreseen.receipt) == ("there", None)
    assert forgotten(company, "hubspot", "contacts", id, anyway=True).rows == foreseen.rows


def test_s9_again_there_is_only_what_is_left_of_it(mirror: Mirror) -> None:
    (id,) = mirror.some()
    forgotten(mirror.company, "hubspot", "contacts", id, anyway=True)
    held = tables(mirror.company)[("sync", "tombstones")]
    again = forgotten(mirror.company, "hubspot", "contacts", id, anyway=True)
    assert "hubspot.contacts" not in again.rows and again.rows["sync.tombstones"] == 1
    assert len(tables(mirror.company)[("sync", "tombstones")]) == len(held) == 1


def test_s9_who_was_merged_away_is_forgotten_with_their_survivor(mirror: Mirror) -> None:
    id = person(mirror)
    (other,) = mirror.some(start=50)
    survivor = mirror.portal.merge("contacts", other, id)
    mirror.synced()
    done = forgotten(mirror.company, "hubspot", "contacts", id, anyway=True)
    assert set(done.keys) >= {str(id), str(survivor), str(other)} - {None} and str(survivor) in done.notes[0]
    assert places(mirror.company, *PERSON) <= KEPT
    assert not {id, survivor, other} & mirror.held()
    mirror.company.assert_ledger_adds_up()


@pytest.mark.parametrize("key", ["999999999", "Anna"])
def test_a_key_that_nobody_bears_is_told_and_leaves_no_trace(grown: Company, key: str) -> None:
    before = tables(grown)
    with pytest.raises((NothingFoundError, FixConfig)) as told:
        forgotten(grown, "kaiten", "users", key)
    assert key not in str(told.value)
    after = tables(grown)
    assert {n for n in after if after[n] != before.get(n)} <= {("sync", "budgets"), ("sync", "logs")}
    grown.assert_ledger_adds_up()


def test_s9_what_rules_made_of_a_person_goes_too(ruled: Ruled) -> None:
    """Events, runs, letters that left or wait, the log of activities: by the record and by its runs."""
    company = ruled.company
    first, neighbour = sorted(ruled.world.living["contacts"])[:2]
    say = 'text: "Call {{after.name}}"'
    ruled.rule("known", f"do: log, {say}", event="updated", more="", name="Known").write_text(
        "key: known\nname: Known\non: {source: kommo, entity: contact, event: updated}\nactions:\n"
        f"  - {{do: log, {say}}}\n  - {{do: create_task, {say}, due: 1d}}\n"
    )
    ruled.react()
    for contact, name in ((first, NAME), (neighbour, "Сосед")):
        company.sandbox.world.clock.advance(60)
        ruled.world.update("contacts", contact, name=name)
        ruled.look(contact, entity="contacts")
    ruled.react()
    kept = {"kommo.contacts", "sync.change_events", "sync.outbox", "sync.activity_logs"}
    assert company_places(company, NAME) >= kept
    # A letter because of the record may be about another one.
    company.query("update sync.outbox set entity = 'companies' where key = %s", (str(first),))
    company.query("update sync.outbox set reason = %s, base = jsonb_build_object('x', %s) where key = %s",
                  (NAME, NAME, str(first)))  # fmt: skip
    company.query("update sync.rule_runs set context = jsonb_build_object('x', %s) where key = %s", (NAME, str(first)))
    company.query("update sync.rule_actions set reason = %s where rule_run_id in"
                  " (select id from sync.rule_runs where key = %s)", (NAME, str(first)))  # fmt: skip

    done = forgotten(company, "kommo", "contacts", first, anyway=True)
    assert company_places(company, NAME) == set()
    assert kept | {"sync.rule_runs", "sync.rule_actions"} <= {*done.rows}
    assert company_places(company, "Сосед") >= kept, "the neighbour is not touched"
    states = company.query(
        "select distinct state from sync.outbox where id in (select outbox_id from sync.rule_actions a"
        " join sync.rule_runs r on r.id = a.rule_run_id where r.key = %s)", (str(first),),
    )  # fmt: skip
    assert states == [("dropped",)], "what had not left does not leave"
    ruled.deliver()
    texts = [thing.fields["text"] for thing in ruled.world.living["tasks"].values()]
    assert not [t for t in texts if NAME in t] and [t for t in texts if "Сосед" in t]
    assert company_places(company, NAME) == set()


def test_a_letter_that_is_being_sent_is_waited_for(ruled: Ruled) -> None:
    (lead, *_) = ruled.leads
    ruled.company.query(
        "insert into sync.outbox (account, entity, key, operation, payload, idempotency_key, state, lease_until,"
        " leased_by) values ('kommo', 'leads', %s, 'set_field', '{}', 'x', 'sending', now() + interval '1 hour', 'x')",
        (str(lead),),
    )
    with pytest.raises(LetterUnderWayError):
        forgotten(ruled.company, "kommo", "leads", lead, anyway=True)
    assert ruled.company.query("select count(*) from kommo.leads where id = %s", (lead,)) == [(1,)]
    ruled.company.assert_ledger_adds_up()


def company_places(company: Company, text: str) -> set[str]:
    """Every table that has the text in any of its columns."""
    held = {f"{schema}.{name}": rows for (schema, name), rows in tables(company).items()}
    return {name for name, rows in held.items() if any(text in row for (row,) in rows)}


def event(key: str, text: str, days: float = 0.0) -> bytes:
    moment = datetime.fromtimestamp(datetime.now(UTC).timestamp() - days * 86_400, UTC)
    return encoder.encode(
        Accepted("kaiten", "kaiten", "", "x", "users", key, text.encode(), True, None, moment, text.encode(), b"", "")
    )


def test_s9_what_lies_in_the_spool_goes_too_and_the_rest_stays_in_order(
    make_company: Callable[..., Company], make_database: Callable[..., str], tmp_path: Path
) -> None:
    company = make_company(database_url=make_database(grown=True), SYNC_SPOOL_FOLDER=str(tmp_path / "spool"))
    key = min(company.raw("users"))
    spool = Spool(tmp_path / "spool", 10**6)
    spool.append([event("0", "first"), event(str(key), NAME), event("0", "second")])
    spool.settle(spool.take(1))
    spool.close()
    spool = Spool(tmp_path / "spool", 10**6)
    spool.append([event(str(key), NAME), event("0", "third")])
    busy = forgotten(company, "kaiten", "users", key, anyway=True)
    assert "the spool" not in busy.rows and "another receiver" in busy.notes[0]
    spool.close()

    dry = forgotten(company, "kaiten", "users", key, anyway=True, dry=True)
    assert dry.rows["the spool"] == 2 and NAME.encode() in b"".join(p.read_bytes() for p in tmp_path.rglob("*.segment"))
    assert forgotten(company, "kaiten", "users", key, anyway=True).rows["the spool"] == 2
    assert NAME.encode() not in b"".join(p.read_bytes() for p in (tmp_path / "spool").iterdir())
    spool = Spool(tmp_path / "spool", 10**6)
    found = []
    while (taken := spool.take(1)).records:
        found += [decoder.decode(record).payload for record in taken.records]
        spool.settle(taken)
    spool.close()
    assert found == [b"second", b"third"], "the first was replayed before"


def test_s9_what_a_receiver_left_for_good_goes_with_its_days(
    make_company: Callable[..., Company], tmp_path: Path
) -> None:
    from sync_assets_tests.upkeep.aged import cleaned

    company = make_company(SYNC_SPOOL_FOLDER=str(tmp_path / "spool"))
    assert cleaned(company, apply=True)["the spool webhooks"].before == 0 and not (tmp_path / "spool").exists()
    spool = Spool(tmp_path / "spool", 10**6)
    spool.append([event("1", "old", 31), event("2", "young", 29)])
    spool.close()
    dry = cleaned(company, apply=False)["the spool webhooks"]
    assert (dry.before, dry.gone, dry.after) == (2, 1, 2)
    done = cleaned(company, apply=True)["the spool webhooks"]
    assert (done.before, done.gone, done.after) == (2, 1, 1)
    assert cleaned(company, apply=True)["the spool webhooks"].gone == 0
    spool = Spool(tmp_path / "spool", 10**6)
    assert [decoder.decode(r).payload for r in spool.take(9).records] == [b"young"]
    spool.close()
