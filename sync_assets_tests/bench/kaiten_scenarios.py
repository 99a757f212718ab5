"""Kaiten: at the limit, without it beside the baseline, in Dagster, memory."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass

from sync_assets_tests.bench.kaiten_baseline import VARIABLES
from sync_assets_tests.bench.lab import Lab, Run, median
from sync_assets_tests.bench.scenarios import Goal, Scenario, Tell, duel
from sync_assets_tests.bench.source import Source, sandbox

PAGE = 100


@dataclass(frozen=True)
class Plan:
    paced: tuple[int, ...] = (1_000, 10_000)
    rate: float = 5.0
    latency_ms: float = 50.0
    unpaced: int = 10_000
    memory: tuple[int, int] = (10_000, 100_000)
    repeats: int = 3


FULL = Plan()
QUICK = Plan(paced=(120,), rate=100.0, latency_ms=5.0, unpaced=300, memory=(200, 400), repeats=1)


def company(cards: int, *, rate: float = 0.0, latency_ms: float = 0.0) -> AbstractContextManager[Source]:
    return sandbox("kaiten", VARIABLES, "--cards", str(cards), rate=rate, latency_ms=latency_ms)


def scenarios(lab: Lab, plan: Plan, tell: Tell) -> Iterator[Scenario]:
    yield paced(lab, plan, tell)
    with company(plan.unpaced) as source:
        yield beside_the_baseline(lab, source, plan, tell)
        yield dagster(lab, source, plan, tell)
    yield memory(lab, plan, tell)


def paced(lab: Lab, plan: Plan, tell: Tell) -> Scenario:
    """The whole account into empty tables, at the source's limit."""
    found = Scenario(f"whole Kaiten account at {plan.rate:g} requests/s, {plan.latency_ms:g} ms latency")
    for cards in plan.paced:
        label = f"{cards:,} cards"
        with company(cards, rate=plan.rate, latency_ms=plan.latency_ms) as source:
            runs = []
            for _ in range(plan.repeats):
                runs.append(lab.run(source, lab.database(source), "full", env={"KAITEN_RATE": f"{plan.rate:g}"}))
                tell(label, runs[-1])
            least = least_requests(source)
        found.rows[label] = median(runs)
        found.at_the_limit(label, rate=plan.rate, latency_ms=plan.latency_ms, least=least, most=least + 5)
    return found


def least_requests(source: Source) -> int:
    """The fewest that can read the account: each list's pages, boards per space, other lanes per board, and options
    per select property. A full last page needs one more to be known as the last."""
    selects = sum(1 for d in source.records("property_definitions") if d["type"] == "select")
    whole = 2  # spaces, property definitions
    paged = sum(source.count(name) // PAGE + 1 for name in ("users", "card_types", "tags", "cards"))
    return whole + paged + selects + source.count("spaces") + 2 * source.count("boards")


def beside_the_baseline(lab: Lab, source: Source, plan: Plan, tell: Tell) -> Scenario:
    """Cards alone, without a limit."""
    found = Scenario(f"{plan.unpaced:,} Kaiten cards without a limit, beside the baseline")
    keys = sorted(card["id"] for card in source.records("cards"))[::100]

    def edit(turn: int) -> None:
        for key in keys:
            source.edit(f"/api/latest/cards/{key}", {"title": f"Edited, turn {turn}: {key}"})

    found.rows = duel(lab, source, tell, plan.repeats, entities=("cards",), edit=edit)
    found.twice_and_five_times_as_fast()
    return found


def dagster(lab: Lab, source: Source, plan: Plan, tell: Tell) -> Scenario:
    """The whole account into empty tables: the sync by itself, and all of `dagster job execute` from exec to exit."""
    found = Scenario(f"whole Kaiten account, {plan.unpaced:,} cards, without a limit")
    runs: dict[str, list[Run]] = {"sync alone": [], "dagster job execute": []}
    for _ in range(plan.repeats):
        runs["sync alone"].append(lab.run(source, lab.database(source), "full"))
        runs["dagster job execute"].append(lab.run_job(source, lab.database(source)))
        for label, of in runs.items():
            tell(label, of[-1])
    found.rows = {label: median(of) for label, of in runs.items()}
    return found


def memory(lab: Lab, plan: Plan, tell: Tell) -> Scenario:
    found = Scenario("memory of a first load, without a limit")
    for cards in plan.memory:
        with company(cards) as source:
            runs = []
            for _ in range(plan.repeats):
                runs.append(lab.run(source, lab.database(source), "full"))
                tell(f"{cards:,} cards", runs[-1])
        found.rows[f"{cards:,} cards"] = median(runs)
    small, large = found.rows.values()
    what = f"peak RSS with {plan.memory[1]:,} cards over that with {plan.memory[0]:,}"
    found.goals = [Goal(what, 1.2, large.peak_rss / small.peak_rss, "x")]
    return found
