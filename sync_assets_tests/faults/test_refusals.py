"""D6: a Postgres that is full, read-only or out of connections: each process fails fast, says why, loses nothing."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg2
import pytest

from sync_assets.errors import DatabaseRefused
from sync_assets.load.database import Database
from sync_assets.postgres import EmbeddedPostgres
from sync_assets_tests.company import Company
from sync_assets_tests.faults.guarded import at
from sync_assets_tests.faults.moments import touch_every_card
from sync_assets_tests.inbox.hints import hint, hurry, states, worked_off
from sync_assets_tests.postgres.temporary import memory
from sync_assets_tests.receive.conftest import Serving, rows, serve, until
from sync_assets_tests.receive.vendors import items
from sync_assets_tests.send.shop import Open

__all__ = ["serve"]

WORDS = {"53100": "the disk is full", "25006": "it is read-only", "53300": "it has no connection left"}
REFUSALS = pytest.mark.parametrize("state", WORDS)
STEP = "Next: free disk space, rights or connections on the Postgres server"


def run(url: str, *statements: str) -> None:
    """Outside of any transaction, also where the database is read-only."""
    connection = psycopg2.connect(url)
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("set default_transaction_read_only = off")
            for statement in statements:
                cursor.execute(statement)
    finally:
        connection.close()


@pytest.fixture
def visitor(cluster: EmbeddedPostgres, make_database: Callable[..., str]) -> Iterator[Callable[[str], str]]:
    """visitor(url) -> the same database as a role that limits of connections hold for, as for no superuser."""
    root = cluster.create_database("d6_roles")
    run(root, "create role d6_visitor login password 'canary-d6' in role pg_read_all_data, pg_write_all_data")
    made: list[str] = []

    def make(url: str) -> str:
        made.append(url)
        run(
            url,
            "grant usage, create on schema sync to d6_visitor; grant all on all functions in schema sync to d6_visitor",
        )
        run(url, "grant usage on sequence sync.seen to d6_visitor")
        return at(url, "d6_visitor", "canary-d6")

    yield make
    for url in made:
        run(url, "drop owned by d6_visitor")
    run(root, "drop role d6_visitor")
    cluster.drop_database("d6_roles")


@contextmanager
def refusing(url: str, state: str, table: str) -> Iterator[None]:
    """Postgres at `url` refuses in this way; of a full disk, as soon as `table` is written to."""
    database = url.rpartition("/")[2]
    begin, end = {
        "53100": (
            f"create function public.refuse() returns trigger language plpgsql as $$ begin raise exception 'no'"
            f" using errcode = '53100'; end $$; create trigger refuse before insert or update on {table}"
            f" for each row execute function public.refuse()",
            "drop function public.refuse() cascade",
        ),
        "25006": (
            f'alter database "{database}" set default_transaction_read_only = on',
            f'alter database "{database}" reset default_transaction_read_only',
        ),
        "53300": ("alter role d6_visitor connection limit 0", "alter role d6_visitor connection limit -1"),
    }[state]
    run(url, begin)
    try:
        yield
    finally:
        run(url, end)


Visitor = Callable[[str], str]


@REFUSALS
def test_d6_a_sync_fails_fast_and_the_next_one_goes_on(grown: Company, visitor: Visitor, state: str) -> None:
    touch_every_card(grown)
    mine = Company(grown.sandbox, {**grown.env, "DATABASE_URL": visitor(grown.database_url)})
    mine = Company(grown.sandbox, {**mine.env, "SYNC_DATABASE_WAIT_SECONDS": "60"})
    before = grown.raw("cards")
    with refusing(grown.database_url, state, "kaiten.cards"):
        began = time.monotonic()
        error = mine.sync("full", only="cards")["cards"]
        assert time.monotonic() - began < 30, "not as long as for a Postgres that is away"
    assert isinstance(error, DatabaseRefused)
    assert WORDS[state] in str(error) and STEP in str(error)
    assert grown.raw("cards") == before, "nothing half-written"
    mine.synced("full", only="cards")
    grown.assert_world_equals_postgres(only=("cards",))
    grown.assert_ledger_adds_up()


@REFUSALS
def test_d6_a_worker_gives_its_events_back_and_says_why(grown: Company, visitor: Visitor, state: str) -> None:
    touch_every_card(grown)
    card = sorted(grown.truth("cards"))[0]
    mine = Company(grown.sandbox, {**grown.env, "DATABASE_URL": visitor(grown.database_url)})
    (event,) = hint(grown, "kaiten", "cards", card)
    with refusing(grown.database_url, state, "kaiten.cards"):
        work = worked_off(mine, seconds=1.0)
    assert any(WORDS[state] in problem for problem in work.problems), work.problems
    ((attempts,),) = grown.query("select attempts from sync.webhook_events where id = %s", (event,))
    assert attempts == 0 and states(grown).keys() <= {"new", "waiting"}, "an outage costs no attempt"
    hurry(grown)
    assert worked_off(mine).events == 1
    assert grown.raw("cards")[card]["title"] == grown.truth("cards")[card]["title"]


@REFUSALS
def test_d6_the_receiver_spools_what_postgres_refuses(
    serve: Callable[..., Serving], database_url: str, visitor: Visitor, state: str
) -> None:
    url = visitor(database_url)
    with refusing(database_url, state, "sync.webhook_events"):
        serving = serve(url)
        for number in range(5):
            assert serving.post(items(number)).status_code == 200
        assert serving.health()["status"] == "degraded" and serving.health()["spool"]["events"] == 5
        assert rows(database_url) == []
    until(lambda: len(rows(database_url)) == 5)
    assert [key for key, _, _ in rows(database_url)] == ["0", "1", "2", "3", "4"], "in their order"
    until(lambda: serving.health()["status"] == "ok")


@REFUSALS
def test_d6_the_way_back_writes_nothing_that_it_cannot_write_down(
    open_shop: Open, visitor: Visitor, state: str
) -> None:
    shop = open_shop()
    order = shop.ids[0]
    shop.here(order, "paid")
    url = shop.company.database_url
    whole, shop.company = (
        shop.company,
        Company(shop.company.sandbox, {**shop.company.env, "DATABASE_URL": visitor(url)}),
    )
    with refusing(url, state, "sync.outbox"), pytest.raises(DatabaseRefused, match=WORDS[state]):
        shop.deliver()
    assert shop.updates() == [] and shop.code(order) == "N"
    shop.company, mine = whole, shop.company
    shop.due_now()
    shop.company = mine
    assert shop.deliver().states == {"confirmed": 1}
    assert shop.updates() == [(order, "P")]


def test_d6_out_of_connections_is_told_within_a_moment(database_url: str, visitor: Visitor) -> None:
    database = Database(visitor(database_url), wait=60.0)
    with refusing(database_url, "53300", ""):
        began = time.monotonic()
        with pytest.raises(DatabaseRefused, match=r"no connection left \(sqlstate 53300\)"):
            database.query("select 1")
        assert time.monotonic() - began < 20
    assert database.query("select 1") == (1,)
    database.close()


@pytest.fixture
def small_disk(cluster: EmbeddedPostgres) -> Iterator[Path]:
    """A folder of 8 MB that belongs to Postgres."""
    folder = Path(tempfile.mkdtemp(prefix="sync_assets-small-", dir=memory()))
    folder.chmod(0o755)
    if (
        os.geteuid() != 0
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)], capture_output=True, check=False
        ).returncode
    ):
        pytest.skip("only root may mount a small disk; the other tests of D6 have a trigger say the same")
    try:
        owner = cluster.data_directory.stat()
        inner = folder / "data"
        inner.mkdir()
        os.chown(inner, owner.st_uid, owner.st_gid)
        yield inner
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False)
        folder.rmdir()


def test_d6_a_disk_that_is_really_full(cluster: EmbeddedPostgres, grown: Company, small_disk: Path) -> None:
    url = grown.database_url
    run(url, f"create tablespace d6_small location '{small_disk}'")
    try:
        run(url, "alter table kaiten.cards set tablespace d6_small",
            "create table public.filler (words text) tablespace d6_small",
            "alter table public.filler alter words set storage plain")  # fmt: skip
        with pytest.raises(psycopg2.errors.DiskFull):
            while True:
                run(url, "insert into public.filler select repeat('x', 7000) from generate_series(1, 20)")
        before = grown.raw("cards")
        touch_every_card(grown)
        error = grown.sync("full", only="cards")["cards"]
        assert isinstance(error, DatabaseRefused) and "the disk is full" in str(error)
        assert grown.raw("cards") == before
        run(url, "drop table public.filler")
        grown.synced("full", only="cards")
        grown.assert_world_equals_postgres(only=("cards",))
        grown.assert_ledger_adds_up()
    finally:
        run(url, "drop table if exists public.filler", "alter table kaiten.cards set tablespace pg_default",
            "drop tablespace d6_small")  # fmt: skip
