"""What vendors wait for: the receiver's answers at a steady pace, and in a burst that comes as fast as it is taken.

The command runs in a process of its own; its CPU and memory stand in the columns of the client. A delay counts from the
moment at which its request was due, so that one slow answer does not hide those that had to wait behind it.
"""

import http.client
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from sync_assets.load.database import Database
from sync_assets.load.migrations import migrate
from sync_assets_tests.bench.client import peak_rss
from sync_assets_tests.bench.lab import TICKS, Lab, Run, median, stat
from sync_assets_tests.bench.scenarios import Goal, Scenario, Tell
from sync_assets_tests.receive.command import PATH, Command, event

ANSWER_MS = 50


@dataclass(frozen=True)
class Plan:
    repeats: int
    rate: int  # requests a second
    seconds: int
    burst: int
    records: int  # that the burst is about


FULL = Plan(repeats=3, rate=200, seconds=10, burst=10_000, records=500)
QUICK = Plan(repeats=1, rate=100, seconds=1, burst=200, records=20)

CALLERS = 32


class Calls:
    """Requests number 0, 1, ... by many callers, each due at its time; their delays in seconds."""

    def __init__(self, port: int, number: int, pace: float, records: int) -> None:
        self.delays: list[float] = []
        self.refused = 0
        self.sent = 0
        self._port, self._number, self._pace, self._records = port, number, pace, records
        self._next = count()
        self._began = time.monotonic()

    def run(self) -> "Calls":
        threads = [threading.Thread(target=self._call) for _ in range(CALLERS)]
        self._began = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return self

    def _call(self) -> None:
        line = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        while (number := next(self._next)) < self._number:
            due = self._began + number * self._pace if self._pace else time.monotonic()
            time.sleep(max(0.0, due - time.monotonic()))
            # Each event is another one, of as many records as there are.
            body = event(number % self._records).replace(b"000Z", b"%06dZ" % number)
            line.request("POST", PATH, body)
            answer = line.getresponse()
            answer.read()
            self.delays.append(time.monotonic() - due)
            self.refused += answer.status != 200
            self.sent += len(body)
        line.close()


def scenarios(lab: Lab, plan: Plan, tell: Tell) -> Iterator[Scenario]:
    cases = {
        f"{plan.rate} requests/s for {plan.seconds} s": (plan.rate * plan.seconds, 1 / plan.rate, 10**6),
        f"{plan.burst:,} events of {plan.records} records at once": (plan.burst, 0.0, plan.records),
    }
    scenario = Scenario("The receiver of webhooks, committed in Postgres before it answers")
    for label, (number, pace, records) in cases.items():
        runs = []
        for _ in range(plan.repeats):
            runs.append(_run(lab, number, pace, records))
            tell(label, runs[-1])
        row = scenario.rows[label] = median(runs)
        kept, refused = row.counts["kept"], row.violations
        scenario.goals.append(Goal(f"{label}: events kept", number, kept, least=True))
        scenario.goals.append(Goal(f"{label}: refused", 0, refused))
        for percent, limit in (("p50", ANSWER_MS), ("p99", ANSWER_MS)):
            worst = statistics.median(run.counts[f"{percent}_us"] for run in runs) / 1000
            # A burst that is sent as fast as it is taken waits for itself.
            goal = Goal(f"{label}: {percent} of the answers", limit if pace else 10 * limit, worst, " ms")
            scenario.goals.append(goal)
    yield scenario


def _run(lab: Lab, number: int, pace: float, records: int) -> Run:
    name = f"receiver_{time.monotonic_ns()}"
    url = lab.postgres.create_database(name)
    database = Database(url)
    try:
        migrate(database, [])
    finally:
        database.close()
    lab.settle(name)
    with tempfile.TemporaryDirectory() as folder:
        command = Command(Path(folder), url)
        try:
            before, spent, began = _cpu(command), lab.spent(name), time.monotonic()
            calls = Calls(command.port, number, pace, records).run()
            wall, cpu, (postgres, wal) = time.monotonic() - began, _cpu(command) - before, lab.spent(name, spent)
            peak = peak_rss(command.process.pid)
        finally:
            command.process.end()
    (kept,) = lab.ask(name, "select count(*) from sync.webhook_events")
    cuts = statistics.quantiles(calls.delays, n=100)
    return Run(
        wall=wall,
        cpu_client=cpu,
        cpu_postgres=postgres,
        peak_rss=peak,
        wal_bytes=wal,
        requests=number,
        received_bytes=calls.sent,
        violations=calls.refused,
        counts={"kept": kept, "p50_us": round(cuts[49] * 1e6), "p99_us": round(cuts[98] * 1e6)},
    )


def _cpu(command: Command) -> float:
    return sum(stat(command.process.pid)[11:13]) / TICKS
