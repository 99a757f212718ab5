"""The figures as tables for people and as one JSON document for the README and for those who compare."""

import os
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from sync_assets_tests.bench.lab import Median, Run
from sync_assets_tests.bench.scenarios import Goal, Scenario

COLUMNS = ("wall s", "client CPU s", "Postgres CPU s", "peak RSS MB", "WAL MB", "requests")


def machine(postgres: str) -> dict[str, Any]:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    memory = Path("/proc/meminfo").read_text().split()[1]
    return {
        "cpu": next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown"),
        "cores": os.cpu_count(),
        "memory_gb": round(int(memory) / 1e6, 1),
        "python": platform.python_version(),
        "postgres": postgres,
        "load_before": round(os.getloadavg()[0], 2),
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def line(label: str, run: Run) -> str:
    figures = zip(COLUMNS, cells(run), strict=True)
    return f"  {label:<32} " + ", ".join(f"{value} {name}" for name, value in figures)


def cells(run: Run | Median) -> list[str]:
    return [
        f"{run.wall:.2f}",
        f"{run.cpu_client:.2f}",
        f"{run.cpu_postgres:.2f}",
        f"{run.peak_rss / 1e6:.0f}",
        f"{run.wal_bytes / 1e6:.2f}",
        f"{run.requests:g}",
    ]


def show(console: Console, scenario: Scenario) -> None:
    table = Table(title=scenario.title, title_justify="left", header_style="bold")
    table.add_column("run")
    for name in COLUMNS:
        table.add_column(name, justify="right")
    for label, row in scenario.rows.items():
        table.add_row(label, *cells(row))
    console.print(table)
    for goal in scenario.goals:
        console.print(sentence(goal), style="green" if goal.met else "bold red", highlight=False)
    console.print()


def sentence(goal: Goal) -> str:
    bound = "at least" if goal.least else "at most"
    verdict = "met" if goal.met else "MISSED"
    digits = 2 if goal.unit else 0
    return f"  {verdict}: {goal.what}: {goal.value:.{digits}f}{goal.unit} ({bound} {goal.limit:g}{goal.unit})"


def document(plans: Mapping[str, Any], found: dict[str, Any], done: Sequence[Scenario]) -> dict[str, Any]:
    return {
        "machine": found | {"load_after": round(os.getloadavg()[0], 2)},
        "plans": {system: asdict(plan) for system, plan in plans.items()},
        "scenarios": [
            {
                "title": s.title,
                "rows": {label: asdict(row) for label, row in s.rows.items()},
                "goals": [asdict(goal) | {"met": goal.met} for goal in s.goals],
            }
            for s in done
        ],
    }
