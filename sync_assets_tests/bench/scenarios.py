"""What is measured, and what it should come to: at the limit, without it beside the baseline, in Dagster, memory."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from sync_assets_tests.bench.lab import Company, Lab, Median, Run, company, median

FORGET_CARDS = """
truncate kaiten.cards, plain.cards;
update sync.metadata set fields = null, watermark = null, last_full_at = null, rows = null where entity = 'cards'
"""
PAGE = 100
Tell = Callable[[str, Run], None]


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


@dataclass(frozen=True)
class Goal:
    what: str
    limit: float
    value: float
    unit: str = ""
    least: bool = False  # the limit is the least that will do, not the most

    @property
    def met(self) -> bool:
        return self.value >= self.limit if self.least else self.value <= self.limit


@dataclass
class Scenario:
    title: str
    rows: dict[str, Median] = field(default_factory=dict)
    goals: list[Goal] = field(default_factory=list)


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
                runs.append(lab.run("account", source, lab.database(source)))
                tell(label, runs[-1])
            least = least_requests(source)
        m = found.rows[label] = median(runs)
        floor = (m.requests - 1) / plan.rate + plan.latency_ms / 1000
        found.goals += [
            Goal(f"{label}: wall over the limit's floor of {floor:.2f} s", 1.1, m.wall / floor, "x"),
            Goal(f"{label}: requests, the least being {least}", least + 5, m.requests),
            Goal(f"{label}: requests above the limit", 0, m.violations),
        ]
    return found


def least_requests(source: Company) -> int:
    """The fewest that can read the account: each list's pages, boards per space, other lanes per board, and options
    per select property. A full last page needs one more to be known as the last."""
    selects = sum(1 for d in source.records("property_definitions") if d["type"] == "select")
    whole = 2  # spaces, property definitions
    paged = sum(source.count(name) // PAGE + 1 for name in ("users", "card_types", "tags", "cards"))
    return whole + paged + selects + source.count("spaces") + 2 * source.count("boards")


def beside_the_baseline(lab: Lab, source: Company, plan: Plan, tell: Tell) -> Scenario:
    """Cards alone, without a limit; the parents are there already. Each side leads in turn."""
    found = Scenario(f"{plan.unpaced:,} Kaiten cards without a limit, beside the baseline")
    sides = {"plain": "baseline", "cards": "sync_assets"}
    template = lab.database(source)
    for what in ("account", "plain"):  # also warms the sandbox's pages
        lab.run(what, source, template)
    lab.ask(template, FORGET_CARDS)
    runs: dict[str, list[Run]] = {}

    def both(case: str, database: str, turn: int) -> None:
        for what in sorted(sides, reverse=turn % 2 == 0):
            lab.settle(database)
            run = lab.run(what, source, database)
            tell(f"{case}, {sides[what]}", run)
            runs.setdefault(f"{case}, {sides[what]}", []).append(run)

    for turn in range(plan.repeats):
        database = lab.database(source, template)
        both("first load", database, turn)
        both("nothing changed", database, turn)
    keys = sorted(card["id"] for card in source.records("cards"))[::100]
    for turn in range(plan.repeats):
        source.edit_cards(keys, f"Edited, turn {turn}:")
        both("1 % changed", database, turn)
    found.rows = {label: median(of) for label, of in runs.items()}

    def ratio(case: str) -> float:
        return found.rows[f"{case}, baseline"].wall / found.rows[f"{case}, sync_assets"].wall

    found.goals = [
        Goal("first load: times faster than the baseline", 2, ratio("first load"), "x", least=True),
        Goal("nothing changed: times faster than the baseline", 5, ratio("nothing changed"), "x", least=True),
        Goal("nothing changed: WAL", 1, found.rows["nothing changed, sync_assets"].wal_bytes / 1e6, "MB"),
    ]
    return found


def dagster(lab: Lab, source: Company, plan: Plan, tell: Tell) -> Scenario:
    """The whole account into empty tables: the sync by itself, and all of `dagster job execute` from exec to exit."""
    found = Scenario(f"whole Kaiten account, {plan.unpaced:,} cards, without a limit")
    runs: dict[str, list[Run]] = {"sync alone": [], "dagster job execute": []}
    for _ in range(plan.repeats):
        for label, measure in (("sync alone", lab.run_account), ("dagster job execute", lab.run_job)):
            runs[label].append(measure(source, lab.database(source)))
            tell(label, runs[label][-1])
    found.rows = {label: median(of) for label, of in runs.items()}
    return found


def memory(lab: Lab, plan: Plan, tell: Tell) -> Scenario:
    found = Scenario("memory of a first load, without a limit")
    for cards in plan.memory:
        with company(cards) as source:
            runs = []
            for _ in range(plan.repeats):
                runs.append(lab.run_account(source, lab.database(source)))
                tell(f"{cards:,} cards", runs[-1])
        found.rows[f"{cards:,} cards"] = median(runs)
    small, large = found.rows.values()
    what = f"peak RSS with {plan.memory[1]:,} cards over that with {plan.memory[0]:,}"
    found.goals = [Goal(what, 1.2, large.peak_rss / small.peak_rss, "x")]
    return found
