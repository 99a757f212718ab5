"""Dagster's storages keep their connections, however often an instance is made, and outlive their loss."""

from collections.abc import Callable
from pathlib import Path
from threading import Barrier, Thread

import pytest
from sqlalchemy import event

from sync_assets.local import PROJECT
from sync_assets.orchestration.kept_connections import AT_REST, engine
from sync_assets.orchestration.queue import dagster_instance
from sync_assets.orchestration.storage import dagster_url
from sync_assets_tests.asking import answer, cut_others
from sync_assets_tests.orchestration.conftest import home
from sync_assets_tests.receive.conftest import until

ALL = "select pid from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"


@pytest.fixture
def dagster_at(with_dagster: Callable[[], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The database that instances of this test are in."""
    (tmp_path / "dagster.yaml").write_text((PROJECT / "dagster.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    url = with_dagster()
    home(monkeypatch, tmp_path, url)
    return url


def ask_everything() -> None:
    with dagster_instance() as instance:
        assert instance.get_runs() == []
        assert list(instance.all_instigator_state()) == []
        assert instance.all_logs("none") == []
        instance.get_daemon_heartbeats()


def sessions(url: str) -> int:
    return len(answer(url, ALL, ()))


def test_instances_made_for_each_tick_connect_once(dagster_at: str) -> None:
    ask_everything()
    made: list[object] = []
    event.listen(engine(dagster_url(dagster_at)), "connect", lambda *_: made.append(1))
    for _ in range(10):
        ask_everything()
    assert made == [] and sessions(dagster_at) == 1


def test_as_many_as_ask_at_once_get_a_connection_and_few_are_kept(dagster_at: str) -> None:
    together, kept = Barrier(AT_REST + 3), engine(dagster_url(dagster_at))

    def ask() -> None:
        with kept.connect() as connection:
            connection.exec_driver_sql("select 1")
            together.wait(20)

    threads = [Thread(target=ask) for _ in range(AT_REST + 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not together.broken
    until(lambda: sessions(dagster_at) <= AT_REST)  # Postgres ends those that were closed in its own time
    assert sessions(dagster_at) == AT_REST


def test_d3_what_was_lost_is_replaced_before_it_is_asked(dagster_at: str) -> None:
    for _ in range(3):
        ask_everything()
        assert cut_others(dagster_at) >= 1
