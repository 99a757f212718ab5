"""Kommo's links: parents that come last, never or not to us, that leave later, and records that point at each other."""

from __future__ import annotations

from typing import Any

from sync_assets.errors import Forbidden
from sync_assets_tests.check.look import look
from sync_assets_tests.company import Company

POINTING = ("leads", "contacts", "companies", "tasks")


def waiting(company: Company, entity: str) -> set[tuple[Any, ...]]:
    return set(
        company.query(
            "select key, child_entity, state, evidence from sync.missing_parents where account = 'kommo'"
            " and entity = %s",
            [entity],
        )
    )


def responsible(company: Company, *entities: str) -> set[int]:
    return {r["responsible_user_id"] for name in entities for r in company.truth(name, "kommo").values()}


def assert_heals(company: Company) -> None:
    company.sandbox.faults.clear()
    company.synced("full", "kommo")
    assert company.query("select * from sync.missing_parents where account = 'kommo'") == []
    company.assert_world_equals_postgres("kommo")
    company.assert_ledger_adds_up()


def test_l1_users_that_no_list_shows_are_fetched_by_id_in_the_same_run(company: Company) -> None:
    company.sandbox.faults.set("L1", system="kommo", path="/users$", share=1.0)
    company.synced("full", "kommo")
    for entity in POINTING:
        assert company.raw(entity, "kommo").keys() == company.truth(entity, "kommo").keys()
    assert company.raw("users", "kommo").keys() == responsible(company, *POINTING)
    assert waiting(company, "users") == set()
    assert_heals(company)


def test_l1_users_that_are_nowhere_are_gone_with_how_we_know_and_their_leads_stay(company: Company) -> None:
    company.sandbox.faults.set("L1", system="kommo", path="/users", share=1.0, by_id="no")
    company.synced("full", "kommo", ["users", "leads"])
    gone = {(str(user), "leads", "gone", "asked for by id: 204") for user in responsible(company, "leads")}
    assert waiting(company, "users") == gone
    assert company.raw("leads", "kommo") == company.truth("leads", "kommo")
    company.sandbox.requests.clear()
    company.synced("full", "kommo", "leads")
    assert not [r for r in company.sandbox.requests if "/users/" in r.path], "whoever is gone is not asked for again"
    assert look(company, "links_resolve", "leads", "kommo").severity == "WARN"
    assert_heals(company)


def test_l1_users_that_the_token_may_not_read_are_unreachable_and_not_gone(company: Company) -> None:
    company.sandbox.world.kommo.revoke("users")
    done = company.sync("full", "kommo", ["users", "leads"])
    assert isinstance(done["users"], Forbidden)
    found = waiting(company, "users")
    assert {key for key, *_ in found} == set(map(str, responsible(company, "leads")))
    assert {state for _, _, state, _ in found} == {"unreachable"} and all("scope" in why for *_, why in found)
    company.query("update sync.missing_parents set waiting_since = now() - interval '1 day' where entity = 'users'")
    assert look(company, "links_resolve", "leads", "kommo").severity == "WARN", "nobody can mend it by waiting"
    company.sandbox.world.kommo.grant("users")
    assert_heals(company)


def test_l1_stages_that_come_after_their_leads_are_relinked_the_moment_they_come(company: Company) -> None:
    company.synced("full", "kommo", "leads")
    assert waiting(company, "pipelines") == set(), "they were asked for by id"
    stages = {f"{r['pipeline_id']}/{r['status_id']}" for r in company.truth("leads", "kommo").values()}
    assert {(key, state) for key, _, state, _ in waiting(company, "statuses")} == {(s, "waiting") for s in stages}
    company.synced("full", "kommo", "statuses")
    assert waiting(company, "statuses") == set()
    assert_heals(company)


def test_l2_a_user_who_is_deleted_later_leaves_the_leads_and_a_date(grown: Company) -> None:
    kommo = grown.sandbox.world.kommo
    user = next(iter(grown.truth("leads", "kommo").values()))["responsible_user_id"]
    theirs = {id for id, r in grown.truth("leads", "kommo").items() if r["responsible_user_id"] == user}
    del kommo.users[user]
    grown.synced("full", "kommo")
    # Who pointed at them has not changed, so only the look at the whole table meets the link.
    assert look(grown, "links_resolve", "leads", "kommo").severity == "WARN"
    ((key, _, state, evidence),) = {w for w in waiting(grown, "users") if w[1] == "leads"}
    assert (key, state) == (str(user), "gone") and evidence.startswith("gone since 20")
    assert {id for id, r in grown.raw("leads", "kommo").items() if r["responsible_user_id"] == user} == theirs
    grown.assert_world_equals_postgres("kommo")
    grown.assert_ledger_adds_up()


def test_l3_a_lead_its_contact_and_its_company_that_name_each_other_are_stored_whole(company: Company) -> None:
    kommo = company.sandbox.world.kommo
    lead, contact, firm = (min(kommo.living[kind]) for kind in ("leads", "contacts", "companies"))
    kommo.link("leads", lead, "contacts", contact, main=True)
    kommo.link("contacts", contact, "companies", firm)
    kommo.link("companies", firm, "leads", lead)
    company.synced("full", "kommo")
    named = {
        (entity, id, other): {link["id"] for link in company.raw(entity, "kommo")[id]["_embedded"][other]}
        for entity, id, other in (
            ("leads", lead, "contacts"), ("contacts", contact, "companies"), ("companies", firm, "leads"),
            ("contacts", contact, "leads"), ("companies", firm, "contacts"), ("leads", lead, "companies"),
        )
    }  # fmt: skip
    ids = {"leads": lead, "contacts": contact, "companies": firm}
    assert all(ids[other] in found for (_, _, other), found in named.items())
    assert (contact, True) in company.query(
        "select contact_id, is_main from kommo.lead_contacts where lead_id = %s", [lead]
    )
    assert company.query("select company_id from kommo.lead_companies where lead_id = %s", [lead]) == [(firm,)]
    assert_heals(company)
