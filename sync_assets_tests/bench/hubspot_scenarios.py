"""HubSpot: beside the baseline with narrow and with wide contacts, at the limit, in Dagster, memory, what changes cost.

Answers are not packed: the sandbox would pack them in the time of whoever asks, and a stored byte is held against one
that was received.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass

from sync_assets_tests.bench.hubspot_baseline import VARIABLES
from sync_assets_tests.bench.lab import Lab, Run, median
from sync_assets_tests.bench.scenarios import Goal, Scenario, Tell, duel
from sync_assets_tests.bench.source import Source, sandbox

TYPES = ("contacts", "deals", "calls")
PAGE = 100


@dataclass(frozen=True)
class Plan:
    records: tuple[int, int, int] = (29_000, 1_000, 8_100)  # contacts, deals, calls
    wide: int = 10_000
    rate: float = 19.0
    latency_ms: float = 150.0
    changed: int = 1_000
    memory: tuple[int, int] = (29_000, 290_000)
    repeats: int = 3
    dagster: bool = True


FULL = Plan()
QUICK = Plan(
    records=(300, 100, 100),
    wide=200,
    rate=200.0,
    latency_ms=5.0,
    changed=250,
    memory=(200, 400),
    repeats=1,
    dagster=False,  # Kaiten's quick bench has two such jobs, of five seconds each
)


def portal(
    contacts: int, deals: int, calls: int, *, rate: float = 0.0, latency_ms: float = 0.0, **switches: object
) -> AbstractContextManager[Source]:
    given = {"contacts": contacts, "deals": deals, "calls": calls, "gzip": "no", **switches}
    chosen = [part for name, value in given.items() for part in ("--switch", f"hubspot.{name}={value}")]
    return sandbox("hubspot", VARIABLES, "--cards", "1", *chosen, rate=rate, latency_ms=latency_ms)


def scenarios(lab: Lab, plan: Plan, tell: Tell) -> Iterator[Scenario]:
    with portal(*plan.records) as source:
        yield beside_the_baseline(lab, source, plan, tell)
        if plan.dagster:
            yield dagster(lab, source, plan, tell)
        yield changes(lab, source, plan, tell)
    yield wide(lab, plan, tell)
    yield paced(lab, plan, tell)
    yield memory(lab, plan, tell)


def beside_the_baseline(lab: Lab, source: Source, plan: Plan, tell: Tell) -> Scenario:
    counts = ", ".join(f"{count:,} {name}" for count, name in zip(plan.records, TYPES, strict=True))
    found = Scenario(f"HubSpot, {counts} without a limit, beside the baseline")
    keys = {name: sorted(record["id"] for record in source.records(name))[::100] for name in TYPES}
    fields = {"contacts": "notes", "deals": "dealname", "calls": "hs_call_title"}

    def edit(turn: int) -> None:
        for name, field in fields.items():
            for key in keys[name]:
                source.edit(f"/crm/v3/objects/{name}/{key}", {"properties": {field: f"Edited, turn {turn}: {key}"}})

    found.rows = duel(lab, source, tell, plan.repeats, entities=TYPES, edit=edit)
    found.twice_and_five_times_as_fast()
    found.goals.append(found.faster("1 % changed", 5))
    return found


def dagster(lab: Lab, source: Source, plan: Plan, tell: Tell) -> Scenario:
    """The whole account into empty tables, by itself and in Dagster; and what Dagster takes for an idle job."""
    found = Scenario("whole HubSpot account without a limit")
    runs: dict[str, list[Run]] = {"idle dagster job": [], "sync alone": [], "dagster job execute": []}
    for _ in range(plan.repeats):
        runs["idle dagster job"].append(lab.run_idle(source, lab.database(source)))
        runs["sync alone"].append(lab.run(source, lab.database(source), "full"))
        runs["dagster job execute"].append(lab.run_job(source, lab.database(source)))
        for label, of in runs.items():
            tell(label, of[-1])
    found.rows = {label: median(of) for label, of in runs.items()}
    more = found.rows["dagster job execute"].peak_rss - found.rows["idle dagster job"].peak_rss
    found.goals = [Goal("peak RSS above Dagster's own", 100, more / 1e6, "MB")]
    return found


def changes(lab: Lab, source: Source, plan: Plan, tell: Tell) -> Scenario:
    """An incremental sync by search after so many contacts changed."""
    label = f"incremental, {plan.changed:,} contacts changed"
    found = Scenario("HubSpot, requests for changes")
    keys = [record["id"] for record in source.records("contacts")][: plan.changed]
    runs = []
    for turn in range(plan.repeats):
        database = lab.database(source)
        lab.run(source, database, "full", "contacts")
        for key in keys:
            source.edit(f"/crm/v3/objects/contacts/{key}", {"properties": {"notes": f"Changed, turn {turn}: {key}"}})
        runs.append(lab.run(source, database, "incremental", "contacts"))
        tell(label, runs[-1])
    m = found.rows[label] = median(runs)
    least = -(-plan.changed // 200) * 1000 / plan.changed
    requests = m.requests * 1000 / plan.changed
    found.goals = [Goal(f"requests per 1,000 changed records, {least:g} of them search pages", least * 3, requests)]
    return found


def wide(lab: Lab, plan: Plan, tell: Tell) -> Scenario:
    found = Scenario(f"HubSpot, {plan.wide:,} contacts of 400 properties without a limit, beside the baseline")
    with portal(plan.wide, 0, 0, properties=400) as source:
        found.rows = duel(lab, source, tell, plan.repeats, entities=("contacts",))
        database = lab.database(source)
        received = lab.run(source, database, "full", "contacts").received_bytes
        stored = lab.ask(database, "select pg_total_relation_size('hubspot.contacts')")[0]
    found.goals = [
        found.faster("first load", 2),
        found.faster("nothing changed", 5),
        Goal(f"bytes stored, of the {received / 1e6:.0f} MB received", 0.25, stored / received, "x"),
    ]
    return found


def paced(lab: Lab, plan: Plan, tell: Tell) -> Scenario:
    """The three types into empty tables at the burst limit, in a window of a second: nobody runs ahead of it. Their
    owners are there already, as a full sync reads them first.
    """
    found = Scenario(f"HubSpot at {plan.rate:g} requests/s, {plan.latency_ms:g} ms latency, first load")
    contacts, *others = (-(-count // PAGE) for count in plan.records)
    pages = contacts + sum(others)
    alone = contacts * plan.latency_ms / 1000
    cases = (
        ("id ranges", "id", 1.1, pages / plan.rate, f"all {pages} pages at the limit"),
        ("one cursor", "opaque", 1.35, alone, f"the contacts' {contacts} pages in a row"),
    )
    for label, after, times, floor, what in cases:
        runs = []
        with portal(*plan.records, rate=plan.rate, latency_ms=plan.latency_ms, interval_ms=1000, after=after) as source:
            for _ in range(plan.repeats):
                database = lab.database(source)
                lab.run(source, database, "full", "owners")
                runs.append(lab.run(source, database, "full", ",".join(TYPES)))
                tell(label, runs[-1])
        m = found.rows[label] = median(runs)
        found.goals += [
            Goal(f"{label}: wall over {what}, {floor:.2f} s", times, m.wall / floor, "x"),
            Goal(f"{label}: requests above the limit", 0, m.violations),
        ]
    return found


def memory(lab: Lab, plan: Plan, tell: Tell) -> Scenario:
    found = Scenario("memory of HubSpot's first load, without a limit")
    for contacts in plan.memory:
        label = f"{contacts:,} contacts"
        with portal(contacts, *plan.records[1:]) as source:
            runs = []
            for _ in range(plan.repeats):
                runs.append(lab.run(source, lab.database(source), "full"))
                tell(label, runs[-1])
        found.rows[label] = median(runs)
    small, large = found.rows.values()
    what = f"peak RSS with {plan.memory[1]:,} contacts over that with {plan.memory[0]:,}"
    found.goals = [Goal(what, 1.2, large.peak_rss / small.peak_rss, "x")]
    return found
