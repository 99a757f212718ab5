"""The README's pictures, made anew: `python -m sync_assets_tests.screenshots docs/`.

A company of its own lives and is synced a few times, so that there is something to see; the pages are those that the
test of the UI looks at.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import dagster as dg

from sync_assets.definitions import build_definitions
from sync_assets.local import PROJECT, prepare
from sync_assets.orchestration.queue import dagster_instance
from sync_assets.sandbox.server import Sandbox
from sync_assets_tests.company import environment
from sync_assets_tests.conftest import UNLIMITED
from sync_assets_tests.looking import webserver, window
from sync_assets_tests.postgres.temporary import temporary_postgres

RUNS = 5
"""Points on each plot."""


def main(folder: Path) -> None:
    with (
        temporary_postgres() as postgres,
        Sandbox(rates=UNLIMITED, cards=2000) as sandbox,
        tempfile.TemporaryDirectory() as home,
    ):
        env = environment(sandbox, postgres.create_database("pictures"))
        os.environ |= {**env, "SYNC_ASSETS_ENV_FILE": os.devnull, "DAGSTER_HOME": home}
        (Path(home) / "dagster.yaml").write_text((PROJECT / "dagster.yaml").read_text())
        os.chdir(home)
        prepare(env["DATABASE_URL"], env)
        definitions = build_definitions(env)
        with dagster_instance() as instance:
            for number in range(RUNS):
                live(definitions, instance, "full_sync" if number == 0 else "incremental_sync")
                sandbox.world.advance(10)
        with webserver(env, Path(home)) as address:
            print(address, env["DATABASE_URL"], home, flush=True)
            if "--hold" in sys.argv:
                input()
                return
            with window(address) as seen:
                for name, path in PAGES.items():
                    seen.open(path)
                    seen.picture(folder / f"{name}.png")


PAGES = {
    "asset_graph": "/asset-groups",
    "asset": "/assets/kaiten/cards?view=overview",
    "events": "/assets/kaiten/cards?view=events",
    "checks": "/assets/kaiten/cards?view=checks",
}


def live(definitions: dg.Definitions, instance: dg.DagsterInstance, job: str) -> None:
    definitions.resolve_job_def(job).execute_in_process(instance=instance, raise_on_error=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
