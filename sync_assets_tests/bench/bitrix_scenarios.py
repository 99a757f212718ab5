"""Bitrix: orders and their items at the limit, and without it beside the baseline."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass

from sync_assets_tests.bench.bitrix_baseline import COMMANDS, PAGE, VARIABLES
from sync_assets_tests.bench.lab import Lab, median
from sync_assets_tests.bench.scenarios import Scenario, Tell, duel
from sync_assets_tests.bench.source import Source, sandbox

LISTS = ("orders", "order_items")


@dataclass(frozen=True)
class Plan:
    orders: int = 10_000  # of three items each, in the mean
    rate: float = 2.0
    latency_ms: float = 150.0
    repeats: int = 3
    size: str = "bench"  # of the shop, without its orders


FULL = Plan()
QUICK = Plan(orders=200, size="demo", rate=50.0, latency_ms=5.0, repeats=1)


def shop(
    plan: Plan, *, rate: float = 0.0, latency_ms: float = 0.0, **switches: object
) -> AbstractContextManager[Source]:
    given = {"orders": plan.orders, "buyers": "listed", "orphans": 0, **switches}
    chosen = [part for name, value in given.items() for part in ("--switch", f"bitrix.{name}={value}")]
    return sandbox("bitrix", VARIABLES, "--cards", "1", *chosen, size=plan.size, rate=rate, latency_ms=latency_ms)


def scenarios(lab: Lab, plan: Plan, tell: Tell) -> Iterator[Scenario]:
    yield paced(lab, plan, tell)
    with shop(plan) as source:
        yield beside_the_baseline(lab, source, plan, tell)


def paced(lab: Lab, plan: Plan, tell: Tell) -> Scenario:
    """Orders and items into empty tables. Fifty requests may leave at once, so the limit's pace can be beaten."""
    found = Scenario(f"{plan.orders:,} Bitrix orders and their items at {plan.rate:g} requests/s")
    label, runs, in_a_request = "first load", [], PAGE * COMMANDS
    pace = {"BITRIX_RATE": f"{plan.rate:g}"}
    for _ in range(plan.repeats):
        # Another portal each time, whose bucket is not full of the last run's requests.
        with shop(plan, rate=plan.rate, latency_ms=plan.latency_ms) as source:
            database = lab.database(source)
            lab.run(
                source, database, "full", "order_statuses,users,catalogs,products", env=pace
            )  # nobody looks for parents
            runs.append(lab.run(source, database, "full", ",".join(LISTS), env=pace))
            tell(label, runs[-1])
            least = sum(-(-source.count(name) // in_a_request) for name in LISTS) + 2  # profile and scope
    found.rows[label] = median(runs)
    found.at_the_limit(label, rate=plan.rate, latency_ms=plan.latency_ms, least=least, most=least * 1.05)
    return found


def beside_the_baseline(lab: Lab, source: Source, plan: Plan, tell: Tell) -> Scenario:
    found = Scenario(f"{plan.orders:,} Bitrix orders and their items without a limit, beside the baseline")
    keys = sorted(order["id"] for order in source.records("orders"))[::100]

    def edit(turn: int) -> None:
        for key in keys:
            change = {"id": key, "fields": {"comments": f"Edited, turn {turn}: {key}"}}
            source.edit("sale.order.update", change, method="POST")

    found.rows = duel(lab, source, tell, plan.repeats, entities=LISTS, edit=edit, careful="batched")
    found.twice_and_five_times_as_fast()
    return found
