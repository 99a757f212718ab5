"""S8: with a login per process the whole product works: syncs, webhooks, rules, the way back, Dagster, upkeep."""

from __future__ import annotations

from contextlib import closing
from functools import partial
from pathlib import Path

import dagster as dg
import pytest

from sync_assets.definitions import build_definitions
from sync_assets.errors import SyncError
from sync_assets.load.database import Database
from sync_assets.load.retention import tidy
from sync_assets.local import PROJECT
from sync_assets.orchestration.queue import dagster_instance
from sync_assets.orchestration.report import REPORT
from sync_assets.send import outbox
from sync_assets_tests.automation.ruling import Ruled
from sync_assets_tests.faults.guarded import Guarded
from sync_assets_tests.inbox.hints import states, worked_off
from sync_assets_tests.receiving import receiving
from sync_assets_tests.send.shop import Shop
from sync_assets_tests.systems.deliveries import SECRETS

WAY_BACK = {"SYNC_WAY_BACK": "on", "SYNC_WAY_BACK_FUSE_PERCENT": "100", "SYNC_WAY_BACK_FUSE_RECORDS": "1000"}


@pytest.mark.parametrize("account", ["kaiten", "worksection", "hubspot", "kommo", "bitrix"])
def test_s8_the_writer_syncs_everything(guarded: Guarded, account: str) -> None:
    writer = guarded.as_("writer")
    writer.synced("full", account)
    writer.sandbox.world.advance(3)
    writer.synced("incremental", account)
    assert writer.query("select current_user") == [("s8_writer_login",)]


def test_s8_a_webhook_comes_in_by_the_receiver_and_is_worked_off_by_the_writer(
    guarded: Guarded, tmp_path: Path
) -> None:
    writer, sandbox = guarded.as_("writer", **SECRETS), guarded.company.sandbox
    writer.synced("full", "kaiten", ("users", "boards", "columns", "cards"))
    with receiving(guarded.as_("receiver", **SECRETS), tmp_path) as reached:
        (endpoint,) = reached.accounts["kaiten"].endpoints
        sandbox.webhooks.register("kaiten", reached.settings.sync_public_url + endpoint.path("kaiten"))
        sandbox.webhooks.vendor("kaiten").timeout = 60.0
        sandbox.world.advance(5)
        sandbox.webhooks.settled(60)
        sent = [d.status for d in sandbox.webhooks.deliveries]
    assert sent and set(sent) == {200}
    assert states(writer)["new"] >= 1
    work = worked_off(writer)
    assert work.events and not (work.problems or work.waiting or work.dead)
    with closing(Database(writer.database_url, wait=5.0)) as database:
        done = database.transaction(partial(tidy, account="kaiten", days=0, payload_days=0))
    assert done[1] == work.events, "the writer forgets what is over"


def test_s8_the_way_back_and_rules_are_the_writer_s(guarded: Guarded, tmp_path: Path) -> None:
    shop = Shop(guarded.as_("writer", **WAY_BACK))
    shop.company.synced("full", "bitrix", ("order_statuses", "orders"))
    order = next(order for order in shop.ids if shop.status(order)[0] not in ("paid", None))
    shop.here(order, "paid")
    assert shop.deliver().states == {"confirmed": 1}
    assert shop.status(order) == ("paid", "P")
    assert shop.company.query("select bitrix.orders_in_step()") == [(0,)]

    ruled = Ruled(guarded.as_("writer", **WAY_BACK, SYNC_AUTOMATION_FOLDER=str(tmp_path)), tmp_path)
    ruled.company.synced("full", "kommo", ("users", "pipelines", "statuses", "leads", "contacts"))
    ruled.rule("won", 'do: create_task, text: "Call", due: 1d')
    ruled.react()
    lead = ruled.leads[0]
    ruled.move(lead)
    ruled.react()
    assert [(operation, state) for operation, _, state in ruled.letters()][-1] == ("create_task", "pending")
    ruled.deliver()
    assert len(ruled.tasks(lead)) == 1
    with closing(Database(shop.company.database_url, wait=5.0)) as database:
        database.transaction(partial(outbox.expire, account="bitrix", days=0))
    assert shop.letters(order) == []


def test_s8_dagster_keeps_its_books_as_the_writer(
    guarded: Guarded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = guarded.as_("writer")
    (tmp_path / "dagster.yaml").write_text((PROJECT / "dagster.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    for name, value in {**writer.env, "DAGSTER_HOME": str(tmp_path), "SYNC_ASSETS_ENV_FILE": "/dev/null"}.items():
        monkeypatch.setenv(name, value)
    with dagster_instance() as instance:
        job = build_definitions(writer.env).resolve_job_def("kaiten_full_sync")
        one = [dg.AssetKey(["kaiten", "tags"]), REPORT]
        result = job.execute_in_process(instance=instance, asset_selection=one, raise_on_error=False)
        assert result.success
        assert [run.status for run in instance.get_runs()] == [dg.DagsterRunStatus.SUCCESS]
        instance.delete_run(result.run_id)
        assert instance.get_runs() == []
    owners = guarded.ask(guarded.admin, "select distinct tableowner from pg_tables where schemaname = 'dagster'")
    assert owners == [("s8_owner",)]


def test_s8_the_receiver_s_login_is_no_good_for_a_sync(guarded: Guarded) -> None:
    error = guarded.as_("receiver").sync("full", "kaiten", "tags")["tags"]
    assert isinstance(error, SyncError)
    assert "the role lacks a right" in str(error) and "sync-assets roles --check" in str(error)
