"""The bench's machines: a sandbox, a durable Postgres and one client, each in a process of its own, and their meters.

A run's wall goes from its first request, by the sandbox's log, to its last commit; the clock is the machine's monotonic
one, which all processes share. Autovacuum is off, so that its work falls into nobody's run; tables are vacuumed before.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import psycopg2

from sync_assets.account import connected_accounts
from sync_assets.load.database import Database
from sync_assets.load.migrations import migrate
from sync_assets.postgres import EmbeddedPostgres
from sync_assets.processes import Process, wait_for
from sync_assets.systems import SYSTEMS
from sync_assets_tests.bench import baseline
from sync_assets_tests.bench.client import COUNTS

ROOT = Path(__file__).resolve().parents[2]
TICKS = os.sysconf("SC_CLK_TCK")
Client = Callable[[str, dict[str, str], Path], dict[str, Any]]


@dataclass(frozen=True)
class Run:
    wall: float
    cpu_client: float
    cpu_postgres: float
    peak_rss: int
    wal_bytes: int
    requests: int
    violations: int
    counts: dict[str, int]


@dataclass(frozen=True)
class Median:
    """Each figure's own median; the counts are those of the last run."""

    wall: float
    cpu_client: float
    cpu_postgres: float
    peak_rss: int
    wal_bytes: int
    requests: int
    violations: int
    counts: dict[str, int]
    runs: list[dict[str, Any]]


def median(runs: Sequence[Run]) -> Median:
    figures = {
        name: statistics.median(getattr(run, name) for run in runs)
        for name in ("wall", "cpu_client", "cpu_postgres", "peak_rss", "wal_bytes", "requests")
    }
    violations = max(run.violations for run in runs)
    return Median(**figures, violations=violations, counts=runs[-1].counts, runs=[asdict(run) for run in runs])


class Company:
    """A sandbox in its own process."""

    def __init__(self, control: str, url: str, token: str, rate: float) -> None:
        self.url = url
        self._http = httpx.Client(base_url=control, timeout=60, trust_env=False)
        self._api = httpx.Client(
            base_url=f"{url}/api/latest", headers={"Authorization": f"Bearer {token}"}, timeout=60, trust_env=False
        )
        self.env = {
            "KAITEN_API_URL": url,
            "KAITEN_API_TOKEN": token,
            **({} if rate else {"KAITEN_RATE": "0"}),
        }

    def requests(self, since: float) -> list[dict[str, Any]]:
        log = self._http.get("/_requests", params={"system": "kaiten"}).json()
        return [entry for entry in log if entry["monotonic"] >= since]

    def violations(self) -> int:
        return len(self._http.get("/_violations").json())

    def count(self, entity: str) -> int:
        return len(self.records(entity))

    def records(self, entity: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._http.get(f"/_world/kaiten/{entity}").json()
        return found

    def edit_cards(self, keys: Sequence[int], title: str) -> None:
        for key in keys:
            self._api.patch(f"/cards/{key}", json={"title": f"{title} {key}"}).raise_for_status()


@contextmanager
def company(cards: int, *, rate: float = 0.0, latency_ms: float = 0.0) -> Iterator[Company]:
    with tempfile.TemporaryDirectory() as folder:
        book = Path(folder) / "book.json"
        process = Process(
            "sandbox",
            [
                *(sys.executable, "-m", "sync_assets.sandbox", "--size", "bench", "--cards", str(cards)),
                *("--rate", f"kaiten={rate}", "--latency-ms", str(latency_ms), "--port-file", book),
            ],
            cwd=ROOT,
            log=Path(folder) / "sandbox.log",
        )
        try:
            wait_for(book.exists, process, timeout=300)
            found = json.loads(book.read_text())
            yield Company(found["control"], found["kaiten"]["url"], found["kaiten"]["token"], rate)
        finally:
            process.end()


class Lab:
    def __init__(self, postgres: EmbeddedPostgres) -> None:
        self.postgres = postgres
        self._databases = 0

    def database(self, company: Company, template: str | None = None) -> str:
        """A new database's name: migrated, with the baseline's table, and empty; or a copy of another."""
        self._databases += 1
        name = f"bench_{self._databases}"
        url = self.postgres.create_database(name, template)
        if template is None:
            accounts, _ = connected_accounts(SYSTEMS, {**company.env, "DATABASE_URL": url})
            with closing(Database(url)) as database:
                migrate(database, accounts)
            self.ask(name, baseline.TABLE)
        return name

    def url(self, database: str) -> str:
        return self.postgres.start().rpartition("/")[0] + f"/{database}"

    def ask(self, database: str, query: str) -> Any:
        with closing(psycopg2.connect(self.url(database))) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(query)
                return cursor.fetchone() if cursor.description else None

    def settle(self, database: str) -> None:
        self.ask(database, "vacuum analyze")
        self.ask(database, "checkpoint")

    def version(self) -> str:
        return str(self.ask("postgres", "show server_version")[0])

    def run(self, what: str, company: Company, database: str) -> Run:
        """`what`: plain (the baseline's cards), cards (ours), account (ours, everything)."""
        return self._measured(company, database, _client, what)

    def run_account(self, company: Company, database: str) -> Run:
        return self.run("account", company, database)

    def run_job(self, company: Company, database: str) -> Run:
        """All of `dagster job execute`, from exec to exit."""
        run = self._measured(company, database, _job, "kaiten_full_sync")
        sums = ", ".join(f"'{name}', sum({name})::bigint" for name in COUNTS)
        return replace(run, counts=self.ask(database, f"select json_build_object({sums}) from sync.logs")[0])

    def _measured(self, company: Company, database: str, client: Client, what: str) -> Run:
        env = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "TMPDIR")}
        env |= {**company.env, "DATABASE_URL": self.url(database)}
        broken, lsn, cpu, started = company.violations(), self._lsn(database), self._cpu(), time.monotonic()
        # A folder of its own: no .env of a real account is in it.
        with tempfile.TemporaryDirectory() as folder:
            said = client(what, env, Path(folder))
        cpu, wal, log = self._cpu() - cpu, self._lsn(database) - lsn, company.requests(started)
        return Run(
            wall=said["ended"] - said.get("began", log[0]["monotonic"]),
            cpu_client=said["cpu"],
            cpu_postgres=cpu,
            peak_rss=said["peak_rss"],
            wal_bytes=wal,
            requests=len(log),
            violations=company.violations() - broken,
            counts=said["counts"],
        )

    def _lsn(self, database: str) -> int:
        return int(self.ask(database, "select pg_current_wal_insert_lsn() - '0/0'")[0])

    def _cpu(self) -> float:
        """Seconds of all Postgres' processes, those that have ended too."""
        master = self.postgres.pid
        ticks = sum(_stat(master)[11:15])
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                fields = _stat(int(folder.name))
            except (FileNotFoundError, ProcessLookupError):
                continue
            if fields[1] == master:
                ticks += sum(fields[11:13])
        return ticks / TICKS


def _client(what: str, env: dict[str, str], folder: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "sync_assets_tests.bench.client", what]
    client = subprocess.run(command, cwd=folder, env=env, stdout=subprocess.PIPE, check=True)
    said: dict[str, Any] = json.loads(client.stdout)
    return said


def _job(name: str, env: dict[str, str], folder: Path) -> dict[str, Any]:
    shutil.copy(ROOT / "dagster.yaml", folder)
    command = [sys.executable, "-m", "dagster", "job", "execute", "-m", "sync_assets.definitions", "-j", name]
    began = time.monotonic()
    with (folder / "out").open("wb") as out:
        job = subprocess.Popen(command, cwd=folder, env=env | {"DAGSTER_HOME": str(folder)}, stdout=out, stderr=out)
        _, status, used = os.wait4(job.pid, 0)
    ended, job.returncode = time.monotonic(), os.waitstatus_to_exitcode(status)
    if job.returncode:
        raise RuntimeError("\n".join((folder / "out").read_text(errors="replace").splitlines()[-30:]))
    cpu = used.ru_utime + used.ru_stime
    return {"began": began, "ended": ended, "cpu": cpu, "peak_rss": used.ru_maxrss * 1024, "counts": {}}


def _stat(pid: int) -> list[int]:
    """The numbers of /proc/<pid>/stat after the name; the state, a letter, as 0."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return [0, *map(int, fields[1:])]


@contextmanager
def lab() -> Iterator[Lab]:
    postgres = EmbeddedPostgres(Path(tempfile.mkdtemp(prefix="sync_assets-bench-")), settings={"autovacuum": "off"})
    try:
        postgres.start()
        yield Lab(postgres)
    finally:
        postgres.discard()
