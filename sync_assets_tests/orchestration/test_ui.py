"""Dagster's UI as a person sees it: the asset graph, an asset with its plots, its checks; and S7, in the same browser.

One database, two runs and one webserver for all of it. A field that every card has had bears a name that is markup;
then it is gone, so that a check and a note tell of it.
"""

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from sync_assets.definitions import build_definitions
from sync_assets.local import PROJECT
from sync_assets.orchestration.queue import dagster_instance
from sync_assets.postgres import EmbeddedPostgres
from sync_assets.sandbox.server import Sandbox
from sync_assets_tests.canary import Canary
from sync_assets_tests.company import Company, environment
from sync_assets_tests.conftest import RESOLVED, UNLIMITED
from sync_assets_tests.faults.trap import Trap, trap
from sync_assets_tests.looking import CHROMIUM, Window, webserver, window

pytestmark = [
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"no browser at {CHROMIUM}; set CHROMIUM to one"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@dataclass
class Scene:
    company: Company
    window: Window
    trap: Trap
    field: str
    run_ids: list[str]


@pytest.fixture(scope="module")
def scene(
    cluster: EmbeddedPostgres, dagster_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Scene]:
    home, canary = tmp_path_factory.mktemp("ui"), Canary()
    with ExitStack() as ends:
        patch = ends.enter_context(pytest.MonkeyPatch.context())
        url = cluster.create_database("ui", dagster_template)
        ends.callback(cluster.drop_database, "ui")
        caught = ends.enter_context(trap(socket.socket.close))
        sandbox = ends.enter_context(Sandbox(rates=UNLIMITED, switches=RESOLVED))
        company = Company(sandbox, environment(sandbox, url))
        canary.watch(*company.secrets())
        (home / "dagster.yaml").write_text((PROJECT / "dagster.yaml").read_text())
        patch.chdir(home)
        for name, value in {**company.env, "DAGSTER_HOME": str(home), "SYNC_ASSETS_ENV_FILE": os.devnull}.items():
            patch.setenv(name, value)
        evil = f"http://127.0.0.1:{caught.port}"
        field = f"![x]({evil}/image) <img src={evil}/html> [y]({evil}/link) a|b\n{evil}/plain"
        field += " www.trap.test me@trap.test _z_ `code`"
        run_ids = []
        with dagster_instance() as instance:
            job = build_definitions(company.env).resolve_job_def("kaiten_full_sync")
            for given in (field, None):
                sandbox.faults.clear()
                if given:
                    sandbox.faults.set("A13", system="kaiten", path=r"/cards$", variant="new_field", field=given)
                run_ids.append(job.execute_in_process(instance=instance, raise_on_error=False).run_id)
        address = ends.enter_context(webserver(company.env, home))
        yield Scene(company, ends.enter_context(window(address)), caught, field, run_ids)
        canary.check_database(url)
        canary.check_folder(home)


@pytest.fixture(autouse=True)
def _nothing_complains(scene: Scene) -> Iterator[None]:
    yield
    complaints, scene.window.complaints = scene.window.complaints, []
    assert complaints == [] and scene.window.strangers() == []
    assert scene.window.page.locator(".dagster-toast, [class*=Toast]").all_inner_texts() == []


def test_the_asset_graph_shows_every_account_and_every_entity_with_its_state(scene: Scene) -> None:
    accounts = scene.company.accounts
    seen = scene.window.open("/asset-groups", *accounts, "way_back", "automation")
    for name, account in accounts.items():
        assert f"{name}\n{len(account.entities) + len(account.system.derived)} assets" in seen
    names = [entity.name for entity in accounts["kaiten"].entities]
    path = "/locations/sync_assets.definitions/asset-groups/kaiten/lineage"
    seen = scene.window.open(path, *names, "7 / 8 Passed", "8 / 8 Passed")
    assert seen.count("Materialized") == len(names)
    assert scene.window.page.locator("svg path[marker-end], svg path").count() >= 5, "the arrows between them"


def test_an_asset_shows_its_rows_its_columns_and_plots_of_its_runs(scene: Scene) -> None:
    rows = scene.company.count("cards")
    fresh = "Fails if more than 13 hours since last materialization"
    seen = scene.window.open("/assets/kaiten/cards?view=overview", "Row count", f"{rows:,}", "Leads to", "Plots", fresh)
    cards = scene.company.entity("cards")
    assert cards.doc in seen and "Leads to boards.id" in seen and "non-nullable" in seen
    plots = scene.window.plots("records_per_second", "dagster/row_count", "unchanged")
    assert plots >= 10


def test_the_checks_page_shows_what_passed_what_did_not_and_a_plot(scene: Scene) -> None:
    seen = scene.window.open("/assets/kaiten/cards?view=checks", "Checks (8)", "fields_present", "Failed")
    assert seen.count("Succeeded") == 7
    scene.window.page.locator("canvas").first.wait_for()


def test_s7_what_a_record_says_is_shown_as_text_and_asks_nobody_for_anything(scene: Scene) -> None:
    name = " ".join(scene.field.split())
    for path, words in (
        ("/assets/kaiten/cards?view=checks&checkDetail=fields_present", "the source no longer sends"),
        ("/assets/kaiten/cards?view=events", "field gone from every record"),
        (f"/runs/{scene.run_ids[-1]}", "no longer sends"),
    ):
        seen = " ".join(scene.window.open(path, words).replace("\u2060", "").split())
        assert name in seen, path
        links = [a.get_attribute("href") or "" for a in scene.window.page.locator("a").all()]
        assert not [link for link in links if "trap" in link or str(scene.trap.port) in link], path
        images = [i.get_attribute("src") or "" for i in scene.window.page.locator("img").all()]
        assert not [image for image in images if image.startswith("http")], path
    assert scene.trap.knocks == []
