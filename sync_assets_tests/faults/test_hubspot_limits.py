"""A2: HubSpot's four budgets and its many ways to ask for a wait; no limit is ever beaten, no day's quota overrun.

The portals are small and the limits' windows one second long, so that a client that does not pace itself beats them.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from sync_assets.errors import SyncError, Throttled
from sync_assets.sandbox.hubspot.limits import Usage, bucket
from sync_assets.sandbox.server import Entry, Sandbox
from sync_assets.systems.hubspot import api
from sync_assets_tests.company import Company
from sync_assets_tests.faults.recovery import assert_recovered, failed

CONTACTS = "/crm/v3/objects/contacts"
SEARCH = f"{CONTACTS}/search"
LINKS = "/crm/v4/associations/contacts/deals/batch/read"
LONG_AGO = datetime(2006, 1, 1, tzinfo=UTC)

Portal = Callable[..., Company]


@pytest.fixture
def make_portal(make_company: Callable[..., Company], make_sandbox: Callable[..., Sandbox]) -> Portal:
    """make_portal(burst, search=, associations=, env={}, **switches) -> a company whose HubSpot has these limits."""

    def make(
        burst: float = 0,
        search: float = 0,
        associations: float = 0,
        env: dict[str, str | None] | None = None,
        **switches: str,
    ) -> Company:
        sandbox = make_sandbox(
            rates={
                "kaiten": 0, "worksection": 0,
                "hubspot": burst, "hubspot.search": search, "hubspot.associations": associations,
            },
            switches={f"hubspot.{name}": value for name, value in {"interval_ms": "1000", **switches}.items()},
        )  # fmt: skip
        return make_company(sandbox, **{"HUBSPOT_RATE": None, **(env or {})})

    return make


def leaving(company: Company, name: str | None = None) -> list[Entry]:
    """What was asked of HubSpot, of one of its limits or of all."""
    asked = [e for e in company.sandbox.requests if e.system == "hubspot"]
    return [e for e in asked if name in (None, bucket(e))]  # type: ignore[arg-type]  an entry has method and path too


def rates(company: Company) -> dict[str, float]:
    """What a connection has learned of the limits from its first answers."""
    with company.connected("hubspot") as connection:
        connection.preflight()
        return {name: b.rate for name, b in connection.budget._buckets.items()}


def test_a2_the_burst_limit_is_learned_from_the_answers_and_never_beaten(make_portal: Portal) -> None:
    company = make_portal(40, 5, 10, contacts="2400")
    assert rates(company) == {"burst": 40, "search": 5, "associations": 10}
    company.synced("full", "hubspot")
    company.synced("selective", "hubspot", ["contacts"], since=LONG_AGO)
    assert len(leaving(company, "burst")) > 40 and len(leaving(company, "search")) >= 12
    assert len(leaving(company, "associations")) >= 8
    assert company.sandbox.violations == []
    assert {e.status for e in leaving(company)} == {200}
    company.assert_world_equals_postgres("hubspot")
    company.assert_ledger_adds_up()


def test_a2_a_limit_below_what_is_documented_is_learned_with_the_first_answer(make_portal: Portal) -> None:
    company = make_portal(4, 5, 10, contacts="100", deals="10", calls="10")
    company.synced("full", "hubspot", ["owners", "property_definitions", "contacts"])
    assert len(leaving(company, "burst")) > 8
    assert company.sandbox.violations == []


def test_a2_a_rate_that_a_setting_fixed_stays_whatever_the_answers_say(make_portal: Portal) -> None:
    company = make_portal(60, 5, 10, {"HUBSPOT_RATE": "20"}, contacts="2400")
    assert rates(company)["burst"] == 20
    before = len(leaving(company, "burst"))
    company.synced("full", "hubspot", ["contacts"])
    times = [e.monotonic for e in leaving(company, "burst")[before:]]
    assert len(times) > 25
    most = max(sum(t <= other < t + 1 for other in times) for t in times)
    assert most <= 20 + 2, "the sandbox would have let sixty through"


ASKED = {"list": CONTACTS, "search": SEARCH, "batch": f"{CONTACTS}/batch/read", "associations": LINKS}
ENTITY = {"associations": "contact_associations"}


def ask_again(company: Company, kind: str) -> None:
    """A sync that asks this kind of question."""
    if kind == "search":
        company.synced("selective", "hubspot", "contacts", since=LONG_AGO)
    elif kind == "batch":
        company.synced(
            "selective", "hubspot", "contacts", ids=tuple(map(str, list(company.raw("contacts", "hubspot"))[:3]))
        )
    else:
        company.synced("full", "hubspot", ENTITY.get(kind, "contacts"))


@pytest.mark.parametrize("variant", ["search", "secondly", "burst", "locked", "migration"])
@pytest.mark.parametrize("kind", ASKED)
def test_a2_whoever_is_told_to_wait_waits_and_ends_green(
    grown: Company, monkeypatch: pytest.MonkeyPatch, kind: str, variant: str
) -> None:
    monkeypatch.setattr(api, "TEN_SECONDS", 0.5)
    monkeypatch.setattr(api, "A_SECOND", 0.3)
    monkeypatch.setattr(api, "LOCKED", 0.4)
    least = {"burst": 0.5, "locked": 0.4, "migration": 0.6}.get(variant, 0.3)
    fault = grown.sandbox.faults.set(
        "A2", system="hubspot", path=f"{ASKED[kind]}$", times=2, variant=variant, retry_after=0.6
    )
    ask_again(grown, kind)
    assert fault.strikes == 2
    asked = leaving(grown)
    for place, entry in enumerate(asked):
        if entry.status in (423, 429, 477):
            late = [e for e in asked[place + 1 :] if variant == "migration" or bucket(e) == bucket(entry)]  # type: ignore[arg-type]
            assert late and late[0].monotonic - entry.monotonic >= least * 0.9, "it came back before its time"
    assert_recovered(grown, "hubspot", only=ENTITY.get(kind, "contacts"))


def test_a2_a_move_that_takes_longer_than_a_run_may_wait_stops_every_entity(grown: Company) -> None:
    grown.sandbox.faults.set(
        "A2", system="hubspot", path=f"{CONTACTS}$", times=1, variant="migration", retry_after=7200
    )
    done = grown.sync("full", "hubspot", ["owners", "contacts", "deals"])
    assert not isinstance(done["owners"], SyncError)
    assert "the account is being moved: 7200 s" in failed(done, "contacts", Throttled).what
    assert "the account is being moved" in failed(done, "deals", Throttled).what
    grown.query("update sync.budgets set paused_until = now()")
    assert_recovered(grown, "hubspot")


# The account's day.


def usage(company: Company) -> Usage:
    return company.sandbox.world.systems["hubspot"].usage  # type: ignore[attr-defined, no-any-return]


def assert_stopped(company: Company, done: dict[str, Any], words: str) -> None:
    """Whoever did not finish says why in these words, and for how long; nothing leaves from now on, of no process."""
    stopped = {name: failed(done, name, Throttled) for name, o in done.items() if isinstance(o, SyncError)}
    assert {"contacts", "deals", "calls"} <= stopped.keys()
    assert all(words in e.what and e.what.endswith((" s", " s more")) for e in stopped.values()), stopped
    before = len(leaving(company))
    again = company.sync("incremental", "hubspot")
    assert again and all(words in failed(again, name, Throttled).what for name in again), again
    assert len(leaving(company)) == before
    [(until,)] = company.query("select distinct date_trunc('minute', paused_until + interval '30 s') from sync.budgets")
    moscow = until.astimezone(ZoneInfo("Europe/Moscow"))
    assert (moscow.hour, moscow.minute) == (0, 0) and until > datetime.now(UTC)


def assert_goes_on_from(company: Company, cursor: dict[str, Any]) -> None:
    """The day is over: the next run asks for nothing that the last one read, and ends in step."""
    company.sandbox.faults.clear()
    company.sandbox.world.clock.advance(86_400)
    usage(company).most = 625_000
    company.query("update sync.budgets set paused_until = now()")
    before = len(leaving(company))
    done = company.synced("full", "hubspot")
    assert "unfinished sweep" in done["contacts"].note
    lists = [e.query for e in leaving(company)[before:] if e.path == CONTACTS and "archived" not in e.query]
    (segment,) = cursor["position"]["segments"]
    assert lists[0]["after"] == segment["after"], "it began anew"
    company.assert_world_equals_postgres("hubspot")
    company.assert_ledger_adds_up()


def kept_cursor(company: Company) -> dict[str, Any]:
    [(cursor, watermark)] = company.query("select cursor, watermark from sync.metadata where entity = 'contacts'")
    assert cursor and watermark is None
    return dict(cursor)


SMALL = {"contacts": "1900", "deals": "10", "calls": "10"}
EACH_PAGE: dict[str, str | None] = {"SYNC_BATCH_SIZE": "1", "HUBSPOT_RATE": "0"}


@pytest.mark.parametrize("reserve", ["0", "60"])
def test_a2_the_days_quota_stops_the_run_cleanly_and_leaves_their_share_to_other_apps(
    make_portal: Portal, reserve: str
) -> None:
    company = make_portal(
        env={**EACH_PAGE, "HUBSPOT_DAILY_RESERVE": reserve}, daily="50" if reserve == "60" else "20", **SMALL
    )
    left = usage(company).most * int(reserve) // 100
    done = company.sync("full", "hubspot")
    assert len(leaving(company)) == usage(company).used == 20
    assert {e.status for e in leaving(company)} == {200} and company.sandbox.violations == []
    assert_stopped(company, done, f"{left} of the account's {usage(company).most} daily calls are left")
    assert all(usage(company).spend() for _ in range(left)), "another app's calls still fit"
    assert not usage(company).spend()
    assert_goes_on_from(company, kept_cursor(company))


def test_a2_a_429_of_the_day_stops_the_run_cleanly(make_portal: Portal) -> None:
    company = make_portal(env=EACH_PAGE, daily="0", **SMALL)
    path = r"contacts$"
    fault = company.sandbox.faults.set("A2", system="hubspot", path=path, times=0, variant="daily")
    company.synced("full", "hubspot", "owners")
    fault.path, fault.times = "after=", 1
    done = company.sync("full", "hubspot")
    assert fault.strikes == 1 and [e.status for e in leaving(company)].count(429) == 1
    assert_stopped(company, done, "the account's daily quota is used up")
    assert_goes_on_from(company, kept_cursor(company))


def test_a2_a_day_that_others_have_used_up_is_asked_about_every_hour(grown: Company) -> None:
    usage(grown).most, usage(grown).used = 10, 10
    done = grown.sync("full", "hubspot")
    assert all("the account's daily quota is used up" in failed(done, name, Throttled).what for name in done)
    assert len(leaving(grown)) == 1, "the zone, and with it the end of the day, is not known yet"
    [(least, most)] = grown.query(
        "select min(extract(epoch from paused_until - now())), max(extract(epoch from paused_until - now()))"
        " from sync.budgets where account = 'hubspot'"
    )
    assert 3500 < least <= most <= 3600
    usage(grown).used = 0
    usage(grown).most = 0
    grown.query("update sync.budgets set paused_until = now()")
    assert_recovered(grown, "hubspot")
