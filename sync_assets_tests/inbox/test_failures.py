"""What goes wrong while records are looked at: a record's own fault brings it nearer to its end, nothing else does."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from sync_assets.sandbox.server import Sandbox
from sync_assets.sync.look import Work
from sync_assets_tests.company import Company
from sync_assets_tests.faults.moments import wait_for
from sync_assets_tests.inbox.hints import hint, hurry, states, worked_off, worker
from sync_assets_tests.load.test_ledger import opened

ONE_CARD = r"/cards/\d+$"


def attempts(company: Company) -> list[Any]:
    return company.query("select state, attempts from sync.webhook_events order by id")


@pytest.mark.parametrize(
    ("fault", "options", "says"),
    [
        ("A1", {"retry_after": 30}, "asks to wait"),
        ("A3", {"status": 503}, "answers 503"),
        ("A7", {"variant": "html"}, "not JSON"),
        ("A4", {}, "connection failed"),
    ],
)
def test_an_outage_however_long_kills_no_event(grown: Company, fault: str, options: dict[str, Any], says: str) -> None:
    kaiten = grown.sandbox.world.kaiten
    some = sorted(kaiten.cards)[:5]
    for card in some:
        kaiten.update_card(card, title="new")
    hint(grown, "kaiten", "cards", *some)
    grown.sandbox.faults.set(fault, system="kaiten", path=ONE_CARD, **options)
    for _ in range(4):
        work = worked_off(grown, sync_webhook_attempts=2)
        assert says in "; ".join(work.problems) and work.events == 0
        hurry(grown)
        # An answer that nobody waits for any more may ask to wait, too.
        wait_for(lambda: not any(thread.name.startswith("fetch") for thread in threading.enumerate()))
        grown.query("update sync.budgets set paused_until = '-infinity'")
    assert {a for _, a in attempts(grown)} == {0} and set(states(grown)) == {"waiting"}
    grown.sandbox.faults.clear()
    assert worked_off(grown).events == 5
    grown.assert_world_equals_postgres()
    grown.assert_ledger_adds_up()


def test_a1_a_tick_never_waits_out_a_pause_and_the_event_waits_for_its_end(grown: Company) -> None:
    hint(grown, "kaiten", "cards", min(grown.sandbox.world.kaiten.cards))
    grown.sandbox.faults.set("A1", system="kaiten", path=ONE_CARD, retry_after=60)
    grown.sandbox.requests.clear()
    worked_off(grown)
    [(state, seconds)] = grown.query(
        "select state, extract(epoch from next_try_at - clock_timestamp())::float8 from sync.webhook_events"
    )
    assert state == "waiting" and 50 < seconds < 70
    with worker(grown) as another:
        hurry(grown)
        another.work_off(time.monotonic() + 5, Work())
        assert another._resting["cards"].seconds > 50, "another process is told by the budget, and asks nothing"
    assert len([r for r in grown.sandbox.requests if "/cards/" in r.path]) == 1


def test_while_an_entity_rests_nothing_is_asked_of_it_and_others_go_on(grown: Company) -> None:
    kaiten = grown.sandbox.world.kaiten
    card, space = min(kaiten.cards), next(iter(grown.truth("spaces")))
    grown.sandbox.faults.set("A3", system="kaiten", path=ONE_CARD, status=500)
    hint(grown, "kaiten", "cards", card)
    with worker(grown) as one:
        one.work_off(time.monotonic() + 5, Work())
        grown.sandbox.requests.clear()
        hint(grown, "kaiten", "cards", card)
        hint(grown, "kaiten", "spaces", space)
        one.work_off(time.monotonic() + 0.2, work := Work())
        one.tell(work)
    assert not [r for r in grown.sandbox.requests if "/cards/" in r.path]
    assert (work.events, work.waiting) == (1, 2) and "answers 500" in work.problems[0]


def test_w8_one_record_that_the_source_cannot_show_costs_itself_alone(grown: Company) -> None:
    kaiten = grown.sandbox.world.kaiten
    bad, *good = sorted(kaiten.cards)[:6]
    for card in (bad, *good):
        kaiten.update_card(card, title="new")
    grown.sandbox.faults.set("A3", system="kaiten", path=rf"/cards/{bad}$", status=500)
    hint(grown, "kaiten", "cards", bad, *good)
    work = worked_off(grown, sync_webhook_attempts=3)
    assert work.events == 5
    for _ in range(3):
        hurry(grown)
        worked_off(grown, sync_webhook_attempts=3)
    query = "select state, attempts, reason from sync.webhook_events where key = %s"
    [(state, tries, reason)] = grown.query(query, [str(bad)])
    assert (state, tries) == ("dead", 3) and reason.startswith("given up after 3 attempts: the source answers 500")
    grown.sandbox.faults.clear()
    hint(grown, "kaiten", "cards", bad)
    assert worked_off(grown).events == 1, "its later events go on"
    grown.assert_world_equals_postgres()
    grown.assert_ledger_adds_up()


def test_w8_what_there_is_no_time_for_after_a_failure_together_is_looked_at_alone_soon(grown: Company) -> None:
    bad, *good = sorted(grown.sandbox.world.kaiten.cards)[:4]
    grown.sandbox.faults.set("A3", system="kaiten", path=rf"/cards/{bad}$", status=500)
    hint(grown, "kaiten", "cards", bad, *good)
    for tries in (1, 2):
        work = worked_off(grown, seconds=-1.0)
        assert work.events == 0 and attempts(grown) == [("waiting", tries)] * 4
        hurry(grown)
    for _ in (bad, *good):
        worked_off(grown, seconds=-1.0)
    assert states(grown) == {"waiting": 1, "done": 3}
    assert grown.query("select attempts from sync.webhook_events where state = 'waiting'") == [(3,)]


def test_w8_a_bug_met_by_one_record_costs_itself_alone(grown: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    from sync_assets.sync import worker as module

    look, (bad, good) = module.look, sorted(grown.sandbox.world.kaiten.cards)[:2]

    def buggy(connection: Any, entity: Any, keys: Any, *more: Any) -> Any:
        if str(bad) in keys:
            raise ZeroDivisionError("Ann Canary")
        return look(connection, entity, keys, *more)

    monkeypatch.setattr(module, "look", buggy)
    hint(grown, "kaiten", "cards", bad, good)
    assert worked_off(grown, sync_webhook_attempts=1).events == 1
    assert grown.query("select key, state, reason from sync.webhook_events order by key") == [
        (str(bad), "dead",
         "given up after 1 attempts: a bug (ZeroDivisionError). Next: open an issue with this message."),
        (str(good), "done", None),
    ]  # fmt: skip


def test_an_entity_that_is_being_synced_is_looked_at_all_the_same(grown: Company) -> None:
    kaiten = grown.sandbox.world.kaiten
    kaiten.update_card(card := min(kaiten.cards), title="new")
    hint(grown, "kaiten", "cards", card)
    with opened(grown):
        assert worked_off(grown).events == 1
    assert grown.raw("cards")[card]["title"] == "new"


def test_one_that_must_be_read_as_a_whole_waits_for_the_lease_without_losing_an_attempt(
    grown: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sync_assets.load.ledger.WAIT_FOR_LEASE", 0.05)
    hint(grown, "kaiten", "tags", "")
    with opened(grown, "tags"):
        work = worked_off(grown)
    assert "already running" in work.problems[0] and attempts(grown) == [("waiting", 0)]
    grown.query("update sync.metadata set lease_until = null, lease_holder = null")
    hurry(grown)
    assert worked_off(grown).events == 1


def test_a_token_that_is_refused_is_asked_for_again_when_it_is_mended(
    make_company: Callable[..., Company], sandbox: Sandbox
) -> None:
    company = make_company(sandbox, KAITEN_API_TOKEN="canary-wrong")
    right = make_company(sandbox, database_url=company.database_url)
    right.synced(only="cards")
    hint(company, "kaiten", "cards", card := min(sandbox.world.kaiten.cards))
    assert "401" in worked_off(company).problems[0]
    assert attempts(company) == [("waiting", 0)]
    hurry(company)
    sandbox.world.kaiten.update_card(card, title="new")
    assert worked_off(right).events == 1
