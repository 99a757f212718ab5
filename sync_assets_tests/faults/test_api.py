"""A1, A3, A14, A15: a source that throttles, goes down or forgets, and settings that would be unsafe."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from email.utils import formatdate

import httpx
import pytest

from sync_assets.account import connected_accounts
from sync_assets.errors import FuseBlown, RetryLater, SourceUnavailable, Throttled, UnsafeSetting
from sync_assets.extract.dialect import retry_after
from sync_assets.sandbox.server import Sandbox
from sync_assets.systems import SYSTEMS
from sync_assets_tests.company import Company
from sync_assets_tests.faults.recovery import assert_recovered, failed


@pytest.mark.parametrize(
    ("options", "waits"),
    [
        ({"retry_after": 0.4}, 0.4),
        ({"retry_after": "date"}, 0.0),
        ({"retry_after": "absent"}, 0.0),
        ({"retry_after": "absent", "reset": "seconds"}, 1.0),
    ],
    ids=["seconds", "date", "absent", "reset in seconds"],
)
def test_a1_the_wait_that_a_429_asks_for_is_kept_and_shown(
    company: Company, options: dict[str, object], waits: float
) -> None:
    company.sandbox.faults.set("A1", path="/tags", times=1, **options)
    started = time.monotonic()
    outcome = company.synced("full", only="tags")["tags"]
    assert time.monotonic() - started >= waits
    assert outcome.totals["throttled_seconds"] >= waits * 0.9
    assert outcome.totals["requests"] == 2
    assert_recovered(company)


def test_a1_a_negative_wait_gives_way_to_the_reset_header(company: Company) -> None:
    company.sandbox.faults.set("A1", path="/tags", times=1, retry_after=-5, reset="epoch")
    assert company.synced("full", only="tags")["tags"].totals["throttled_seconds"] < 3
    assert_recovered(company)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7),
        ("0.5", 0.5),
        (formatdate(1_000_007, usegmt=True), 7),
        (formatdate(999_000, usegmt=True), 0),
        ("-7", None),
        ("soon", None),
        ("", None),
        (None, None),
    ],
)
def test_a1_retry_after_is_seconds_or_a_date(header: str | None, seconds: float | None) -> None:
    headers = httpx.Headers({} if header is None else {"retry-after": header})
    assert retry_after(headers, 1_000_000) == seconds


def test_a1_a_wait_longer_than_a_run_may_last_ends_the_entity_and_is_kept_by_all(company: Company) -> None:
    company.sandbox.faults.set("A1", path="/tags", times=1, retry_after=99_999)
    done = company.sync("full", only=["tags", "users"])
    assert "99999 s" in failed(done, "tags", Throttled).what
    before = len(company.sandbox.requests)
    failed(company.sync("full", only="card_types"), "card_types", RetryLater)
    assert len(company.sandbox.requests) == before
    company.query("update sync.budgets set paused_until = now()")
    assert_recovered(company)


@pytest.mark.parametrize("transport", ["json", "429"])
def test_a1_worksection_says_too_many_requests_in_two_ways(
    make_company: Callable[..., Company], make_sandbox: Callable[..., Sandbox], transport: str
) -> None:
    company = make_company(make_sandbox(switches={"worksection.throttle": transport}))
    company.sandbox.faults.set(
        "A1", system="worksection", path="get_users", times=2, status=200 if transport == "json" else 429,
        retry_after="absent" if transport == "json" else 0.3,
    )  # fmt: skip
    assert company.synced("full", "worksection")["users"].totals["requests"] == 3
    assert_recovered(company, "worksection")


def test_a1_a_full_sync_never_beats_the_limit(
    make_company: Callable[..., Company], make_sandbox: Callable[..., Sandbox]
) -> None:
    company = make_company(make_sandbox(rates={"kaiten": 25.0, "worksection": 0}), KAITEN_RATE="25")
    company.synced("full")
    assert company.sandbox.violations == []
    company.assert_world_equals_postgres()


def test_a1_one_process_that_is_told_to_wait_holds_back_the_others(company: Company) -> None:
    until = time.time() + 6.0
    command = [sys.executable, "-m", "sync_assets_tests.contract.metered", "kaiten", str(until)]
    env = {**os.environ, **company.env, "KAITEN_RATE": "20"}
    processes = [subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    while len(company.sandbox.requests) < 10:
        assert any(process.poll() is None for process in processes), "they ended before they had asked"
        time.sleep(0.02)
    company.sandbox.faults.set("A1", times=1, retry_after=1.5)
    shares = [json.loads(process.communicate(timeout=30)[0])["asked"] for process in processes]
    log = company.sandbox.requests
    told = next(entry.monotonic for entry in log if entry.status == 429)
    assert not [e for e in log if told + 0.5 < e.monotonic < told + 1.4], "somebody did not wait"
    assert [e for e in log if e.monotonic > told + 1.4], "nobody went on"
    assert min(shares) > 0


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a3_a_single_failure_is_asked_again(company: Company, status: int) -> None:
    fault = company.sandbox.faults.set("A3", path="/tags", times=2, status=status)
    assert company.synced("full", only="tags")["tags"].totals["requests"] == 3
    assert fault.strikes == 2


def test_a3_an_outage_costs_one_entity_and_its_children(company: Company) -> None:
    company.sandbox.faults.set("A3", path="/spaces/")
    done = company.sync("full")
    error = failed(done, "boards", SourceUnavailable)
    assert "503" in error.what
    ((status, requests),) = company.query("select status, requests from sync.logs where entity = 'boards'")
    assert status == "failed" and 3 <= requests <= 3 * 2, "three tries of a space; the other one's may be cut short"
    assert {"columns", "lanes", "cards"}.isdisjoint(done)
    assert [n for n, o in done.items() if isinstance(o, Exception)] == ["boards"]
    assert_recovered(company)


def test_a3_the_next_run_goes_on_where_the_outage_stopped_this_one(
    make_company: Callable[..., Company], make_sandbox: Callable[..., Sandbox]
) -> None:
    company = make_company(make_sandbox(cards=700), SYNC_BATCH_SIZE="100")
    company.sandbox.faults.set("A3", path="offset=396")
    failed(company.sync("full"), "cards", SourceUnavailable)
    ((cursor, watermark),) = company.query("select cursor, watermark from sync.metadata where entity = 'cards'")
    assert cursor["position"]["offset"] == 396 and watermark is None
    assert company.count("cards") == 397
    company.sandbox.faults.clear()
    before = len(company.sandbox.requests)
    outcome = company.synced("full", only="cards")["cards"]
    offsets = [int(e.query["offset"]) for e in company.sandbox.requests[before:] if e.path.endswith("/cards")]
    assert min(offsets) == 396
    assert "unfinished sweep" in outcome.note and outcome.totals["created"] == 303
    company.assert_world_equals_postgres()
    company.assert_ledger_adds_up()


def test_a3_an_outage_that_passes_within_the_retries_is_not_noticed(make_company: Callable[..., Company]) -> None:
    company = make_company(SYNC_RETRIES="8")
    company.sandbox.faults.set("A3", system="kaiten", p=0.2)
    company.synced("full")
    assert_recovered(company)


@pytest.mark.parametrize(("forget", "entity"), [(0.6, "cards"), (1.0, "cards"), (1.0, "tags")])
def test_a14_a_source_that_forgets_most_records_deletes_none(grown: Company, forget: float, entity: str) -> None:
    rows = grown.count(entity)
    grown.sandbox.faults.set("A14", path=f"/{entity}", forget=forget)
    error = failed(grown.sync("full", only=entity), entity, FuseBlown)
    seen, would_go = rows - int(error.next_step.rpartition(" ")[2]), error.next_step.rpartition(" ")[2]
    assert f"shows {seen} records where {rows} are stored: {would_go} would be deleted" in error.what
    assert grown.count(entity) == rows
    assert grown.query("select * from sync.tombstones") == []
    done = assert_recovered(grown)
    assert done[entity].totals["deleted"] == 0


def test_a14_the_fuse_is_released_by_number_for_one_run_and_the_ledger_says_so(grown: Company) -> None:
    kaiten = grown.sandbox.world.kaiten
    for card in list(kaiten.cards)[:150]:
        kaiten.delete_card(card)
    error = failed(grown.sync("full", only="cards"), "cards", FuseBlown)
    assert error.next_step.endswith("allow_deletions: 150")
    failed(grown.sync("full", only="cards", allow_deletions=149), "cards", FuseBlown)
    assert grown.query("select * from sync.tombstones") == []
    released = grown.synced("full", only="cards", allow_deletions=150)["cards"]
    assert released.totals["deleted"] == 150
    assert grown.query("select count(*) from sync.logs where note like '%150 deletions were allowed%'") == [(1,)]
    for card in list(kaiten.cards)[:50]:
        kaiten.delete_card(card)
    failed(grown.sync("full", only="cards"), "cards", FuseBlown)
    assert_recovered(grown, allow_deletions=50)


def test_a14_a_few_deletions_blow_no_fuse(grown: Company) -> None:
    for card in list(grown.sandbox.world.kaiten.cards)[:9]:
        grown.sandbox.world.kaiten.delete_card(card)
    assert assert_recovered(grown)["cards"].totals["deleted"] == 9


@pytest.mark.parametrize(
    "change",
    [
        {"KAITEN_VERIFY": "false"},
        {"SYNC_VERIFY_TLS": "0"},
        {"PYTHONHTTPSVERIFY": "0"},
        {"KAITEN_INSECURE": "1"},
        {"KAITEN_API_URL": "http://example.kaiten.ru"},
        {"KAITEN_API_URL": "https://10.0.0.7/api/latest"},
        {"KAITEN_API_URL": "https://192.168.1.1"},
        {"KAITEN_API_URL": "https://169.254.169.254/latest/meta-data"},
        {"KAITEN_API_URL": "https://[::1]/api"},
        {"KAITEN_API_URL": "https://kaiten.internal"},
        {"KAITEN_API_URL": "https://kaiten"},
        {"KAITEN_API_URL": "https://user:password@example.kaiten.ru"},
        {"KAITEN_API_URL": "file:///etc/passwd"},
        {"WORKSECTION_DOMAIN": "http://example.worksection.com"},
    ],
    ids=lambda change: " ".join(change.values()),
)
def test_a15_unsafe_settings_are_refused(change: dict[str, str]) -> None:
    safe = {
        "KAITEN_API_URL": "https://example.kaiten.ru/api/latest",
        "KAITEN_API_TOKEN": "t",
        "WORKSECTION_DOMAIN": "example.worksection.com",
        "WORKSECTION_HASH": "h",
    }
    accounts, _ = connected_accounts(SYSTEMS, safe)
    assert len(accounts) == 2
    with pytest.raises(UnsafeSetting):
        connected_accounts(SYSTEMS, {**safe, **change})
