"""What a scenario is: rows of figures and the goals that they should meet; and the duel, which both systems fight."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from sync_assets_tests.bench.lab import Lab, Median, Run, median
from sync_assets_tests.bench.source import Source

Tell = Callable[[str, Run], None]

OURS, PLAIN = "sync_assets", "baseline"


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

    def faster(self, case: str, times: float) -> Goal:
        """How many times faster ours was than the baseline, at least."""
        ratio = self.rows[f"{case}, {PLAIN}"].wall / self.rows[f"{case}, {OURS}"].wall
        return Goal(f"{case}: times faster than the baseline", times, ratio, "x", least=True)

    def twice_and_five_times_as_fast(self) -> None:
        """Twice as fast as the baseline at the first load, five times where nothing changed, and little is logged."""
        wal = self.rows[f"nothing changed, {OURS}"].wal_bytes
        self.goals += [
            self.faster("first load", 2),
            self.faster("nothing changed", 5),
            Goal("nothing changed: WAL", 1, wal / 1e6, "MB"),
        ]

    def at_the_limit(self, case: str, *, rate: float, latency_ms: float, least: int, most: float) -> None:
        """Hardly slower than the limit lets its requests through, none above it, and no more of them than `most`.

        `least` is how few could do.
        """
        m = self.rows[case]
        floor = (m.requests - 1) / rate + latency_ms / 1000
        self.goals += [
            Goal(f"{case}: wall over the limit's floor of {floor:.2f} s", 1.1, m.wall / floor, "x"),
            Goal(f"{case}: requests, the least being {least}", most, m.requests),
            Goal(f"{case}: requests above the limit", 0, m.violations),
        ]


def duel(
    lab: Lab,
    source: Source,
    tell: Tell,
    repeats: int,
    *,
    entities: Sequence[str],
    edit: Callable[[int], None] | None = None,
    careful: str = "",
) -> dict[str, Median]:
    """These entities without a limit, ours and the baseline's; their parents are there already. Each leads in turn.

    `edit`, given the turn, changes a hundredth of the records. `careful`: another baseline, which is shown beside them.
    """
    template = lab.database(source)
    for how in ("full", "plain"):  # also warms the sandbox's pages
        lab.run(source, template, how)
    lab.ask(template, forget(source.system, entities))
    sides: Mapping[str, tuple[str, ...]] = {PLAIN: ("plain",), OURS: ("full", ",".join(entities))}
    runs: dict[str, list[Run]] = {}

    def both(case: str, database: str, turn: int) -> None:
        for side in sorted(sides, reverse=turn % 2 == 1):
            lab.settle(database)
            run = lab.run(source, database, *sides[side])
            tell(f"{case}, {side}", run)
            runs.setdefault(f"{case}, {side}", []).append(run)

    for turn in range(repeats):
        database = lab.database(source, template)
        both("first load", database, turn)
        both("nothing changed", database, turn)
        if careful:
            own = lab.database(source, template)
            for case in ("first load", "nothing changed"):
                lab.settle(own)
                run = lab.run(source, own, careful)
                tell(f"{case}, {PLAIN}, {careful}", run)
                runs.setdefault(f"{case}, {PLAIN}, {careful}", []).append(run)
    if edit:
        for turn in range(repeats):
            edit(turn)
            both("1 % changed", database, turn)
    return {label: median(of) for label, of in runs.items()}


def forget(account: str, entities: Sequence[str]) -> str:
    tables = ", ".join(f"{schema}.{entity}" for entity in entities for schema in (account, "plain"))
    names = ", ".join(f"'{entity}'" for entity in entities)
    return f"""
        truncate {tables};
        update sync.metadata set fields = null, watermark = null, last_full_at = null, rows = null
         where account = '{account}' and entity in ({names});
        delete from sync.missing_parents where account = '{account}' and child_entity in ({names})
    """
