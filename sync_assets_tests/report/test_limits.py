"""What held a sync up, from its figures alone; and that no advice is given which could not help."""

from typing import Any

import pytest

from sync_assets.report import limits
from sync_assets.report.advice import recommendations
from sync_assets.report.limits import NOTHING, is_judged, limit_of
from sync_assets.settings import SyncSettings
from sync_assets.systems import SYSTEMS
from sync_assets_tests.report.figuring import account, around, sync

AT_THE_RATE: dict[str, Any] = {"requests": 60, "rate": 1.0, "floor_seconds": 59.0, "paced_seconds": 58.0}


@pytest.mark.parametrize(
    ("limit", "figures"),
    [
        ("rate", {**AT_THE_RATE, "fetched": 300}),
        ("rate", {**AT_THE_RATE, "fetched": 300, "asking_seconds": 59.0}),
        ("one_record_per_request", {**AT_THE_RATE, "fetched": 60}),
        ("one_record_per_request", {**AT_THE_RATE, "fetched": 0}),
        ("pause", {"requests": 5, "rate": 5.0, "floor_seconds": 1.0, "paused_seconds": 50.0}),
        ("latency", {"requests": 20, "rate": 5.0, "floor_seconds": 4.0, "asking_seconds": 55.0}),
        ("postgres", {"requests": 2, "rate": 5.0, "floor_seconds": 0.2, "storing_seconds": 55.0, "commits": 2}),
        ("postgres", {"requests": 2, "asking_seconds": 31.0, "storing_seconds": 55.0, "commits": 2}),
        ("machine", {"requests": 2, "asking_seconds": 5.0, "storing_seconds": 10.0}),
        ("unknown", {"requests": 2, "asking_seconds": None}),
        # A burst that the syncs before had used up: no floor of its own, but nobody else asked either.
        ("rate", {"requests": 40, "rate": 2.0, "paced_seconds": 50.0, "fetched": 200}),
    ],
)
def test_the_limit_is_what_it_waited_for_most(limit: str, figures: dict[str, Any]) -> None:
    assert limit_of(sync(**figures), account(), SyncSettings()).limit == limit


def test_who_waits_for_others_is_told_for_whom_and_only_if_there_are_any() -> None:
    waiting = sync(requests=5, rate=5.0, floor_seconds=1.0, paced_seconds=50.0)
    found = limit_of(waiting, account(), SyncSettings(), beside=("0123456789abcdef", "webhooks"))
    assert found.limit == "shared" and "01234567, webhooks" in found.says and found.can_help
    assert limit_of(waiting, account(), SyncSettings()).limit == "rate"


def test_at_the_documented_rate_nothing_is_to_be_done() -> None:
    found = limit_of(sync(**AT_THE_RATE), account(), SyncSettings())
    assert found.next_step == NOTHING and not found.can_help
    assert (
        "60 requests at 1/s take 59 s at least, of 60 s" in found.says
        and "a request shows 2.0 records" not in found.says
    )


@pytest.mark.parametrize("system", [s.name for s in SYSTEMS if s.name in ("kaiten", "worksection")])
@pytest.mark.parametrize("times", [0.2, 0.5, 1.0, 2.0, 10.0])
def test_no_rate_above_the_documented_one_is_recommended(system: str, times: float) -> None:
    documented = next(s.buckets[0].rate for s in SYSTEMS if s.name == system)
    rate = documented * times
    own = account(system, **{f"{system.upper()}_RATE": f"{rate:g}"})
    at_the_rate = sync(account=system, system=system, **{**AT_THE_RATE, "rate": rate})
    found = limit_of(at_the_rate, own, SyncSettings())
    if times < 1:
        assert found.next_step.startswith(f"remove {system.upper()}_RATE={rate:g}: the documented {documented:g}/s")
        assert f"make {59 * times:,.0f} s of that" in found.next_step
    else:
        assert found.next_step == NOTHING


def test_a_second_account_is_told_its_own_variable() -> None:
    emea = {"API_URL": "https://emea.kaiten.ru/api/latest", "API_TOKEN": "t" * 30, "RATE": "1"}
    own = account("kaiten_emea", **{f"KAITEN_EMEA_{name}": value for name, value in emea.items()})
    found = limit_of(sync(account="kaiten_emea", **AT_THE_RATE), own, SyncSettings())
    assert found.next_step.startswith("remove KAITEN_EMEA_RATE=1:") and found.entity == "kaiten_emea/cards"


@pytest.mark.parametrize(("rate", "advised"), [("8", True), ("0", True), ("5", False), ("2", False)])
def test_who_is_told_to_wait_lowers_a_rate_above_the_documented_one(rate: str, advised: bool) -> None:
    told = sync(requests=5, rate=float(rate) or None, paused_seconds=50.0)
    found = limit_of(told, account(KAITEN_RATE=rate), SyncSettings())
    assert ("remove KAITEN_RATE" in found.next_step) is advised
    assert "asked it to wait for 50 of its 60 s" in found.says


def test_the_batch_size_is_spoken_of_only_where_commits_are_many_and_small() -> None:
    small = SyncSettings(sync_batch_size=50)
    storing = {"requests": 60, "storing_seconds": 55.0, "rate": 5.0, "floor_seconds": 12.0}
    found = limit_of(sync(**storing, commits=60, fetched=3000), account(), small)
    assert found.limit == "postgres" and "remove SYNC_BATCH_SIZE=50" in found.next_step
    for figures, settings in (
        ({**storing, "commits": 2}, small),
        ({**storing, "commits": 60}, SyncSettings()),
        ({**AT_THE_RATE, "commits": 60}, small),
        ({"requests": 20, "asking_seconds": 55.0, "commits": 60}, small),
    ):
        assert "BATCH" not in limit_of(sync(**figures), account(), settings).next_step


@pytest.mark.parametrize(
    ("figures", "judged"),
    [
        ({}, True),
        ({"fetched": 3, "requests": 2}, False),
        ({"fetched": 3, "requests": 500}, True),
        ({"seconds": limits.WORTH_SECONDS - 1}, False),
        ({"status": "failed"}, False),
        ({"status": "running"}, False),
        ({"kind": "reconcile"}, False),
        ({"kind": "selective"}, False),
        ({"kind": "incremental"}, True),
    ],
)
def test_three_records_in_two_requests_are_not_slow(figures: dict[str, Any], judged: bool) -> None:
    one = sync(**{"requests": 30, **figures})
    assert is_judged(one) is judged
    assert bool(recommendations([one], around())) is judged


@pytest.mark.parametrize(("fetched", "said"), [(599, True), (601, False)])
def test_from_ten_operations_a_second_on_the_vendors_limit_is_not_worth_a_word(fetched: int, said: bool) -> None:
    assert bool(recommendations([sync(**AT_THE_RATE, fetched=fetched)], around())) is said


def test_a_long_wait_is_worth_a_word_at_any_speed_where_something_helps() -> None:
    quick = sync(**AT_THE_RATE, fetched=30_000)
    assert [r.limit for r in recommendations([quick], around(account(KAITEN_RATE="1")))] == ["rate"]
    assert (
        recommendations([sync(**{**AT_THE_RATE, "fetched": 30_000, "seconds": 59.0})], around(account(KAITEN_RATE="1")))
        == []
    )
