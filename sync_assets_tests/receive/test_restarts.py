"""W9: the command is killed and ended under traffic, with and without Postgres; nothing that it took is lost."""

import signal
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sync_assets.postgres import EmbeddedPostgres
from sync_assets_tests.canary import Canary
from sync_assets_tests.receive.command import ACCOUNT, Command, Traffic
from sync_assets_tests.receive.conftest import rows, until
from sync_assets_tests.receive.test_outages import own_cluster, own_database

__all__ = ["own_cluster", "own_database"]


@pytest.fixture
def make_command(tmp_path: Path, canary: Canary) -> Iterator[Callable[[str], Command]]:
    canary.watch(ACCOUNT["KAITEN_API_TOKEN"], ACCOUNT["KAITEN_WEBHOOK_SECRET"])
    made: list[Command] = []

    def make(database_url: str) -> Command:
        made.append(Command(tmp_path, database_url))
        return made[0]

    yield make
    for command in made:
        command.process.end()


def more(traffic: Traffic, number: int = 150) -> None:
    enough = len(traffic.answered) + number
    until(lambda: traffic.more(enough))


def deliveries(url: str) -> Counter[int]:
    return Counter({int(key): count for key, count in rows(url, "key, deliveries")})


def test_w9_kill_9_and_sigterm_under_traffic_lose_nothing_that_was_answered(
    make_command: Callable[[str], Command], database_url: str
) -> None:
    command = make_command(database_url)
    with Traffic(command.port).running() as traffic:
        more(traffic)
        command.killed()
        more(traffic)
        assert command.stopped(signal.SIGTERM) == 0
        more(traffic)
        assert command.process.end(first=signal.SIGINT) == 0
    held = deliveries(database_url)
    assert [n for n in traffic.answered if n not in held] == []
    assert set(held.values()) == {1}
    # One event of each caller at most was kept and, because of the kill, not answered.
    assert len(held) - len(traffic.answered) <= 4


def test_w9_kill_9_without_postgres_loses_nothing_of_the_spool(
    make_command: Callable[[str], Command], own_cluster: EmbeddedPostgres, own_database: str
) -> None:
    command = make_command(own_database)
    with Traffic(command.port).running() as traffic:
        more(traffic, 20)
        own_cluster.stop()
        more(traffic)
        command.killed()
        own_cluster.start()
        more(traffic)
        command.killed()
    held = until(lambda: not set(traffic.answered) - set(found := deliveries(own_database)) and found)
    assert set(held.values()) == {1}
    assert command.process.end() == 0
    assert not list(command.log.parent.glob("spool/*.segment"))
