"""What tests share: one Postgres cluster per worker, a fresh migrated database and a small living company per test.

Nothing is mocked: sockets, Postgres and the sandbox are real. The canary of `canary.py` watches every test.
"""

import gc
import logging
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import hypothesis
import pytest

pytest.register_assert_rewrite("sync_assets_tests.company", "sync_assets_tests.canary", "sync_assets_tests.mirror")

from sync_assets.extract import http  # noqa: E402
from sync_assets.load import trust  # noqa: E402
from sync_assets.postgres import EmbeddedPostgres  # noqa: E402
from sync_assets.sandbox.bitrix.people import CANARY as PASSWORDS  # noqa: E402
from sync_assets.sandbox.server import Sandbox  # noqa: E402
from sync_assets_tests import processors  # noqa: E402
from sync_assets_tests.asking import let_go  # noqa: E402
from sync_assets_tests.canary import Canary  # noqa: E402
from sync_assets_tests.company import Company, environment  # noqa: E402
from sync_assets_tests.databases import Databases  # noqa: E402
from sync_assets_tests.founding import founded_alike  # noqa: E402
from sync_assets_tests.mirror import Mirror  # noqa: E402
from sync_assets_tests.postgres.temporary import temporary_postgres  # noqa: E402

LIMITS = ("kaiten", "worksection", "hubspot", "hubspot.search", "hubspot.associations", "kommo", "bitrix")
UNLIMITED = dict.fromkeys(LIMITS, 0.0)
RESOLVED = {"bitrix.buyers": "listed", "bitrix.orphans": "0"}
"""A world in which every link leads somewhere, unless a test says otherwise."""
LONGEST = ("test_demo.py", "test_workers.py", "test_ui.py", "test_processes.py", "test_job_execute.py", "test_bench.py")
"""Those that start whole sets of processes."""
LONG = ("test_runs.py", "test_red_runs.py", "test_alerts.py", "test_derived.py")
"""Whole runs of Dagster within this process."""
FIRST = (*LONGEST, *LONG)
EVERYWHERE = processors.allowed()
HERE = processors.of_worker(os.environ.get("PYTEST_XDIST_WORKER"), EVERYWHERE)
IMPATIENT = {
    "SYNC_RETRIES": "3",
    "SYNC_REQUEST_SECONDS": "5",
    "SYNC_MAX_WAIT_SECONDS": "5",
    "SYNC_DATABASE_WAIT_SECONDS": "5",
}

hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")  # what is measured is measured in the bench

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A suite that was started in the background is deaf to it; Dagster would make it deaf to SIGTERM too, and all that
    # it starts as well.
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup makes it and all that it starts deaf to a terminal's end


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first: else one worker would still be at them when the others have nothing left."""
    items.sort(key=lambda item: FIRST.index(item.path.name) if item.path.name in FIRST else len(FIRST))


def pytest_collection_finish() -> None:
    """What was imported stays: the collector need look only at what tests make."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[object]:
    with processors.kept_to(EVERYWHERE if item.path.name in LONGEST else HERE):
        return (yield)


@pytest.fixture(scope="session", autouse=True)
def _authorities_read_once() -> Iterator[None]:
    """Whom to trust takes 20 ms to read; httpx would do so for each client that a test makes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("httpx._transports.default.create_ssl_context", cache(httpx.create_ssl_context))
        yield


@pytest.fixture(scope="session")
def shared() -> Path:
    """Payloads that the project did not make."""
    default = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("SYNC_ASSETS_SHARED_DATA", default))
    if not folder.is_dir():
        pytest.skip(f"recorded payloads are not at {folder}; set SYNC_ASSETS_SHARED_DATA")
    return folder


@pytest.fixture(scope="session")
def cluster() -> Iterator[EmbeddedPostgres]:
    with ExitStack() as end:
        with processors.kept_to(HERE):
            postgres = end.enter_context(temporary_postgres())
        yield postgres


@pytest.fixture(scope="session")
def template(cluster: EmbeddedPostgres) -> str:
    """The name of a database with the tables of the accounts `kaiten` and `worksection`, made once."""
    url = cluster.create_database("migrated")
    with Sandbox() as sandbox:
        Company(sandbox, environment(sandbox, url)).migrate()
    return "migrated"


class Grown(NamedTuple):
    name: str
    since: int
    """The first transaction whose rows are not of this template: they alone may hold what a test has let out."""


@pytest.fixture(scope="session")
def grown_template(cluster: EmbeddedPostgres, template: str) -> Grown:
    """A database in step with the default sandbox, which is the same for every test."""
    url = cluster.create_database("grown", template)
    with Sandbox(rates=UNLIMITED, switches=RESOLVED) as sandbox:
        company = Company(sandbox, environment(sandbox, url))
        for account in company.accounts:
            company.synced("full", account)
        bird = Canary()
        bird.watch(*company.secrets(), PASSWORDS)
        bird.check_database(url)
        [(since,)] = company.query("select pg_current_xact_id()::text::bigint")
    let_go(url)
    return Grown("grown", since)


@pytest.fixture
def canary(request: pytest.FixtureRequest) -> Iterator[Canary]:
    bird = Canary()
    heard: list[str] = []
    plain = logging.Formatter()

    class Ear(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            heard.append(f"{record.name} {plain.format(record)}")

    ear, root = Ear(logging.DEBUG), logging.getLogger()
    level = root.level
    root.addHandler(ear)
    root.setLevel(logging.DEBUG)
    try:
        yield bird
    finally:
        root.setLevel(level)
        root.removeHandler(ear)
    bird.check("the log", "\n".join(heard))
    for _, channel, text in request.node._report_sections:
        bird.check(channel, text)
    if (folder := request.node.funcargs.get("tmp_path")) is not None:
        bird.check_folder(folder)


@pytest.fixture(autouse=True)
def _canary_watches(request: pytest.FixtureRequest) -> None:
    if {"canary", "make_company", "make_database"} & set(request.fixturenames):
        request.getfixturevalue("canary")


_numbers = count(1)


@pytest.fixture(scope="session")
def databases(cluster: EmbeddedPostgres, template: str) -> Databases:
    return Databases(cluster, template)


@pytest.fixture
def make_database(cluster: EmbeddedPostgres, canary: Canary, request: pytest.FixtureRequest) -> Iterator[Any]:
    """make_database() -> the URL of a new database, migrated; `empty`: without tables; `grown`: with all records."""
    with ExitStack() as ends:

        def make(*, empty: bool = False, grown: bool = False) -> str:
            since = 0
            if empty or grown:
                name = f"made_{next(_numbers)}"
                source = request.getfixturevalue("grown_template") if grown else None
                url, since = cluster.create_database(name, source and source.name), source.since if source else 0
                ends.callback(cluster.drop_database, name)
                ends.callback(let_go, url)
            else:
                databases = request.getfixturevalue("databases")
                url = databases.take()
                ends.callback(databases.give_back, url)
            ends.callback(canary.check_database, url, since)
            return url

        yield make


@pytest.fixture
def database_url(make_database: Callable[..., str]) -> str:
    return make_database()


@pytest.fixture
def make_sandbox() -> Iterator[Callable[..., Sandbox]]:
    """make_sandbox(**options of Sandbox) -> a running sandbox, without rate limits unless `rates` says so."""
    with ExitStack() as ends:

        def make(switches: Mapping[str, str] | None = None, **options: Any) -> Sandbox:
            chosen = {**RESOLVED, **(switches or {})}
            sandbox = ends.enter_context(Sandbox(**{"rates": UNLIMITED, "switches": chosen, **options}))
            founded_alike(sandbox.world)
            return sandbox

        yield make


@pytest.fixture
def sandbox(make_sandbox: Callable[..., Sandbox]) -> Sandbox:
    return make_sandbox()


@pytest.fixture
def make_company(
    make_sandbox: Callable[..., Sandbox],
    make_database: Callable[..., str],
    canary: Canary,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., Company]:
    """make_company(sandbox=None, **env) -> a company with a database of its own; retries are quick.

    `env` replaces variables; one that is None is taken out. A variable of an account that the template does not have
    (KAITEN_EMEA_...) needs a `company.migrate()`.
    """
    monkeypatch.setattr(http, "BACKOFF", 0.005)
    monkeypatch.setattr(trust, "COST", 16)

    def make(sandbox: Sandbox | None = None, *, database_url: str | None = None, **env: str | None) -> Company:
        sandbox = sandbox or make_sandbox()
        given = {**environment(sandbox, database_url or make_database()), **IMPATIENT, **env}
        company = Company(sandbox, {name: value for name, value in given.items() if value is not None})
        canary.watch(*company.secrets(), PASSWORDS)
        return company

    return make


@pytest.fixture
def company(make_company: Callable[..., Company], sandbox: Sandbox, database_url: str) -> Company:
    """The default tiny company, its two accounts and their database, empty of records."""
    return make_company(sandbox, database_url=database_url)


@pytest.fixture
def grown(make_company: Callable[..., Company], sandbox: Sandbox, make_database: Callable[..., str]) -> Company:
    """Like `company`, in step with its sandbox already."""
    return make_company(sandbox, database_url=make_database(grown=True))


@pytest.fixture
def make_mirror(
    make_company: Callable[..., Company], make_sandbox: Callable[..., Sandbox], make_database: Callable[..., str]
) -> Callable[..., Mirror]:
    """make_mirror(merge="keep", env={...}) -> HubSpot's portal with these switches, in step with its mirror already."""

    def make(env: dict[str, str] | None = None, **switches: str) -> Mirror:
        sandbox = make_sandbox(switches={f"hubspot.{name}": value for name, value in switches.items()})
        return Mirror(make_company(sandbox, database_url=make_database(grown=True), **(env or {})))

    return make


@pytest.fixture
def make_shop(make_company: Callable[..., Company], make_sandbox: Callable[..., Sandbox]) -> Callable[..., Company]:
    """make_shop(orders="53", env={...}) -> a company whose Bitrix has these switches; nothing is synced yet.

    Where the switches say nothing else, it is a shop as shops are: nobody sees its buyers.
    """

    def make(env: dict[str, str | None] | None = None, **switches: str) -> Company:
        chosen = {"buyers": "hidden", "orphans": "", **switches}
        sandbox = make_sandbox(switches={f"bitrix.{name}": value for name, value in chosen.items()})
        return make_company(sandbox, **(env or {}))

    return make


@pytest.fixture
def mirror(make_mirror: Callable[..., Mirror]) -> Mirror:
    return make_mirror()
