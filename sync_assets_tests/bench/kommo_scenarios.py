"""Kommo: leads at our share of the limit, and without it beside the baseline."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass

from sync_assets.systems.kommo import KOMMO
from sync_assets_tests.bench.kommo_baseline import PAGE, VARIABLES
from sync_assets_tests.bench.lab import Lab, median
from sync_assets_tests.bench.scenarios import Scenario, Tell, duel
from sync_assets_tests.bench.source import Source, sandbox


@dataclass(frozen=True)
class Plan:
    leads: int = 10_000
    rate: float = 7.0
    latency_ms: float = 150.0
    repeats: int = 3


FULL = Plan()
QUICK = Plan(leads=300, latency_ms=5.0, repeats=1)


def company(plan: Plan, *, rate: float = 0.0, latency_ms: float = 0.0) -> AbstractContextManager[Source]:
    chosen = ("--cards", "1", "--switch", f"kommo.leads={plan.leads}")
    return sandbox("kommo", VARIABLES, *chosen, rate=rate, latency_ms=latency_ms)


def scenarios(lab: Lab, plan: Plan, tell: Tell) -> Iterator[Scenario]:
    yield paced(lab, plan, tell)
    with company(plan) as source:
        yield beside_the_baseline(lab, source, plan, tell)


def paced(lab: Lab, plan: Plan, tell: Tell) -> Scenario:
    """The leads into an empty table: the vendor lets 7 requests a second through, of which we take 5."""
    found = Scenario(f"{plan.leads:,} Kommo leads at {plan.rate:g} requests/s, {plan.latency_ms:g} ms latency")
    label, runs = "first load", []
    with company(plan, rate=plan.rate, latency_ms=plan.latency_ms) as source:
        template = lab.database(source)
        lab.run(source, template, "full", "users,pipelines,statuses,loss_reasons")  # nobody need look for parents
        for _ in range(plan.repeats):
            runs.append(lab.run(source, lab.database(source, template), "full", "leads"))
            tell(label, runs[-1])
    found.rows[label] = median(runs)
    # The leads' pages and that of the bin; the preflight goes before them.
    least = -(-plan.leads // PAGE) + 2
    found.at_the_limit(label, rate=KOMMO.buckets[0].rate, latency_ms=plan.latency_ms, least=least, most=least * 1.05)
    return found


def beside_the_baseline(lab: Lab, source: Source, plan: Plan, tell: Tell) -> Scenario:
    found = Scenario(f"{plan.leads:,} Kommo leads without a limit, beside the baseline")
    keys = sorted(lead["id"] for lead in source.records("leads"))[::100]

    def edit(turn: int) -> None:
        for key in keys:
            source.edit(f"/api/v4/leads/{key}", {"name": f"Edited, turn {turn}: {key}"})

    found.rows = duel(lab, source, tell, plan.repeats, entities=("leads",), edit=edit)
    found.twice_and_five_times_as_fast()
    return found
