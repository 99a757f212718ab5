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

POINTS = 5
"""Of each plot: as many runs."""

SIZE = {"width": 1400, "height": 900}


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
            for job in ("bitrix_full_sync", "kaiten_full_sync", *["kaiten_incremental_sync"] * (POINTS - 1)):
                definitions.resolve_job_def(job).execute_in_process(instance=instance, raise_on_error=False)
                sandbox.world.advance(10)
        with webserver(env, Path(home)) as address, window(address, SIZE) as seen:
            take(seen, folder)


def take(seen: Window, folder: Path) -> None:
    seen.open("/locations/sync_assets.definitions/asset-groups/kaiten/lineage", "cards", "8 / 8 Passed")
    seen.page.get_by_role("button", name="Hide navigation").or_(seen.page.get_by_text("Hide navigation")).first.click()
    seen.page.mouse.move(1000, 780)
    seen.page.mouse.down()
    seen.page.mouse.move(1000, 850, steps=5)
    seen.page.mouse.up()
    seen.picture(folder / "asset_graph.png")

    seen.open("/assets/kaiten/cards?view=overview", "Row count", "Leads to")
    for section in ("Description", "Columns"):
        seen.page.get_by_text(section, exact=True).first.click()
    seen.plots("dagster/row_count", "records_per_second", "updated")
    seen.picture(folder / "asset.png")

    seen.open("/assets/bitrix/orders?view=checks&checkDetail=links_resolve", "Checks (", "each is accounted for")
    seen.page.locator("canvas").first.wait_for()
    seen.picture(folder / "checks.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
