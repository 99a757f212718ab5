"""`make bench`: measure, print the tables, write the JSON. A missed goal is red, never an error."""

import argparse
import json
from pathlib import Path
from typing import Any

from rich.console import Console

from sync_assets_tests.bench import (
    bitrix_scenarios,
    hubspot_scenarios,
    kaiten_scenarios,
    kommo_scenarios,
    receiver_scenarios,
    webhook_scenarios,
)
from sync_assets_tests.bench.lab import Run, lab
from sync_assets_tests.bench.report import document, line, machine, sentence, show
from sync_assets_tests.bench.scenarios import Scenario
from sync_assets_tests.postgres.temporary import memory

SYSTEMS: dict[str, Any] = {
    "kaiten": kaiten_scenarios,
    "hubspot": hubspot_scenarios,
    "kommo": kommo_scenarios,
    "bitrix": bitrix_scenarios,
    "receiver": receiver_scenarios,
    "webhooks": webhook_scenarios,
}


def main() -> None:
    arguments = argparse.ArgumentParser(prog="make bench", description=(__doc__ or "").splitlines()[0])
    arguments.add_argument("--quick", action="store_true", help="everything once and small: a smoke test, no figures")
    arguments.add_argument("--only", choices=SYSTEMS, nargs="+", help="scenarios of these systems, or of the receiver")
    arguments.add_argument("--json", type=Path, default=Path(".sync_assets/bench.json"), metavar="PATH")
    given = arguments.parse_args()
    chosen = {name: module for name, module in SYSTEMS.items() if given.only is None or name in given.only}
    plans = {name: module.QUICK if given.quick else module.FULL for name, module in chosen.items()}
    console = Console(width=None if Console().is_terminal else 130)

    def tell(label: str, run: Run) -> None:
        console.print(line(label, run), style="dim", highlight=False)

    done: list[Scenario] = []
    with lab(memory() if given.quick else None) as laboratory:
        where = machine(laboratory.version())
        console.print("{cpu}, {cores} cores, Python {python}, Postgres {postgres}, load {load_before}".format(**where))
        repeats = max(plan.repeats for plan in plans.values())
        console.print(f"Medians of {repeats}; Postgres with fsync, without autovacuum.\n")
        for name, module in chosen.items():
            for scenario in module.scenarios(laboratory, plans[name], tell):
                done.append(scenario)
                show(console, scenario)

    given.json.parent.mkdir(parents=True, exist_ok=True)
    given.json.write_text(json.dumps(document(plans, where, done), indent=1) + "\n")
    missed = [goal for scenario in done for goal in scenario.goals if not goal.met]
    console.print(f"{given.json}; " + (f"{len(missed)} goals missed" if missed else "all goals met"))
    for goal in missed:
        console.print(sentence(goal), style="bold red", highlight=False)


if __name__ == "__main__":
    main()
