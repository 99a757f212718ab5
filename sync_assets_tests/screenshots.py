"""The README's pictures, made anew: `python -m sync_assets_tests.screenshots docs/`.

A company of its own lives and is synced a few times, so that there is something to see; then the pages that the test
of the UI looks at are taken as they are.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from sync_assets.definitions import build_definitions
from sync_assets.local import PROJECT, prepare
from sync_assets.local_webhooks import webhook_environment
from sync_assets.orchestration.queue import dagster_instance
from sync_assets.sandbox.server import Sandbox
from sync_assets_tests.company import environment
from sync_assets_tests.conftest import UNLIMITED
from sync_assets_tests.looking import Window, webserver, window
from sync_assets_tests.postgres.temporary import temporary_postgres

RUNS = 5
"""Points on each plot."""

SIZE = {"width": 1400, "height": 860}


def main(folder: Path) -> None:
    with (
        temporary_postgres() as postgres,
        Sandbox(rates=UNLIMITED, cards=2000) as sandbox,
        tempfile.TemporaryDirectory() as home,
    ):
        # With sensors, without a check of whether the vendors call us: nobody has told them to.
        called = webhook_environment(8401) | {"SYNC_PUBLIC_URL": ""}
        env = environment(sandbox, postgres.create_database("pictures"), **called)
        os.environ |= {**env, "SYNC_ASSETS_ENV_FILE": os.devnull, "DAGSTER_HOME": home}
        (Path(home) / "dagster.yaml").write_text((PROJECT / "dagster.yaml").read_text())
        os.chdir(home)
        prepare(env["DATABASE_URL"], env)
        definitions = build_definitions(env)
        with dagster_instance() as instance:
            for number in range(RUNS):
                job = definitions.resolve_job_def("full_sync" if number == 0 else "incremental_sync")
                job.execute_in_process(instance=instance, raise_on_error=False)
                sandbox.world.advance(10)
        with webserver(env, Path(home)) as address, window(address, SIZE) as seen:
            take(seen, folder)


def take(seen: Window, folder: Path) -> None:
    seen.open("/locations/sync_assets.definitions/asset-groups/kaiten/lineage", "cards", "8 / 8 Passed")
    seen.page.get_by_role("button", name="Zoom out").or_(seen.page.locator("button:has([aria-label=zoom_out])")).click()
    seen.picture(folder / "asset_graph.png")

    seen.open("/assets/kaiten/cards?view=overview", "Row count", "Leads to")
    seen.picture(folder / "asset.png")
    seen.page.get_by_text("Columns", exact=True).first.click()
    seen.plots("dagster/row_count", "records_per_second", "updated")
    seen.picture(folder / "plots.png")

    seen.open("/assets/bitrix/orders?view=checks&checkDetail=links_resolve", "Checks (", "each is accounted for")
    seen.page.locator("canvas").first.wait_for()
    seen.picture(folder / "checks.png")

    seen.open("/automation", "kaiten_webhooks", "syncs_that_died")
    seen.picture(folder / "automation.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
