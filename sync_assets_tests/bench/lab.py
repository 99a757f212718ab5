"""The bench's machines: a durable Postgres and one client beside the source, each in a process of its own; and meters.

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
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import psycopg2

from sync_assets.account import connected_accounts
from sync_assets.load.database import Database
from sync_assets.load.migrations import migrate
from sync_assets.postgres import EmbeddedPostgres
from sync_assets.systems import SYSTEMS
from sync_assets_tests.bench.client import COUNTS, baseline_of, peak_rss
from sync_assets_tests.bench.source import ROOT, Source

TICKS = os.sysconf("SC_CLK_TCK")
LOOK = 0.02
"""Seconds between two looks at a job's memory."""
Client = Callable[[Sequence[str], dict[str, str], Path], dict[str, Any]]


@dataclass(frozen=True)
class Run:
    wall: float
    cpu_client: float
    cpu_postgres: float
    peak_rss: int
    wal_bytes: int
    requests: int
    received_bytes: int
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
    received_bytes: int
    violations: int
    counts: dict[str, int]
    runs: list[dict[str, Any]]


def median(runs: Sequence[Run]) -> Median:
    figures = {
        name: statistics.median(getattr(run, name) for run in runs)
        for name in ("wall", "cpu_client", "cpu_postgres", "peak_rss", "wal_bytes", "requests", "received_bytes")
    }
    violations = max(run.violations for run in runs)
    return Median(**figures, violations=violations, counts=runs[-1].counts, runs=[asdict(run) for run in runs])


class Lab:
    def __init__(self, postgres: EmbeddedPostgres) -> None:
        self.postgres = postgres
        self._server = postgres.start().rpartition("/")[0]
        self._databases = 0
        self._empty: dict[str, str] = {}

    def database(self, source: Source, template: str | None = None) -> str:
        """A new database's name: migrated, with the baseline's tables, and empty; or a copy of another."""
        if template is None:
            template = self._empty.get(source.system) or self._migrated(source)
        self._databases += 1
        name = f"bench_{self._databases}"
        self.postgres.create_database(name, template)
        return name

    def _migrated(self, source: Source) -> str:
        name = self._empty[source.system] = f"empty_{source.system}"
        url = self.postgres.create_database(name)
        accounts, _ = connected_accounts(SYSTEMS, {**source.env, "DATABASE_URL": url})
        with closing(Database(url)) as database:
            migrate(database, accounts)
        self.ask(name, baseline_of(source.system).TABLES)
        return name

    def url(self, database: str) -> str:
        return f"{self._server}/{database}"

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

    def run(self, source: Source, database: str, *what: str, env: Mapping[str, str] | None = None) -> Run:
        """`what`: plain or batched (baselines), or full or incremental (ours), which may name entities after it."""
        return self._measured(source, database, _client, (source.system, *what), env)

    def run_job(self, source: Source, database: str) -> Run:
        """All of `dagster job execute` of the full sync, from exec to exit."""
        run = self._measured(source, database, _job, ("sync_assets.definitions", "-j", f"{source.system}_full_sync"))
        sums = ", ".join(f"'{name}', sum({name})::bigint" for name in COUNTS)
        return replace(run, counts=self.ask(database, f"select json_build_object({sums}) from sync.logs")[0])

    def run_idle(self, source: Source, database: str) -> Run:
        """All of `dagster job execute` of a job that does nothing."""
        return self._measured(source, database, _job, ("sync_assets_tests.bench.idle", "-j", "idle"))

    def _measured(
        self,
        source: Source,
        database: str,
        client: Client,
        what: Sequence[str],
        more: Mapping[str, str] | None = None,
    ) -> Run:
        env = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "TMPDIR")}
        env |= {**source.env, **(more or {}), "DATABASE_URL": self.url(database)}
        broken, spent, started = source.violations(), self.spent(database), time.monotonic()
        # A folder of its own: no .env of a real account is in it.
        with tempfile.TemporaryDirectory() as folder:
            said = client(what, env, Path(folder))
        (cpu, wal), log = self.spent(database, spent), source.requests(started)
        began = said["began"] if "began" in said else log[0]["monotonic"]
        return Run(
            wall=said["ended"] - began,
            cpu_client=said["cpu"],
            cpu_postgres=cpu,
            peak_rss=said["peak_rss"],
            wal_bytes=wal,
            requests=len(log),
            received_bytes=sum(entry["bytes"] for entry in log),
            violations=source.violations() - broken,
            counts=said["counts"],
        )

    def spent(self, database: str, before: tuple[float, int] = (0.0, 0)) -> tuple[float, int]:
        """Postgres' seconds of CPU and bytes of WAL since `before`."""
        cpu, lsn = self._cpu(), self._lsn(database)
        return cpu - before[0], lsn - before[1]

    def _lsn(self, database: str) -> int:
        return int(self.ask(database, "select pg_current_wal_insert_lsn() - '0/0'")[0])

    def _cpu(self) -> float:
        """Seconds of all Postgres' processes, those that have ended too."""
        master = self.postgres.pid
        while True:
            before = stat(master)[11:15]
            ticks = sum(before) + sum(sum(fields[11:13]) for fields in _children(master))
            if stat(master)[13:15] == before[2:]:
                return ticks / TICKS
            # Who ended meanwhile is in neither of the two.


def _children(pid: int) -> Iterator[list[int]]:
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(FileNotFoundError, ProcessLookupError):
            fields = stat(int(folder.name))
            if fields[1] == pid:
                yield fields


def _client(what: Sequence[str], env: dict[str, str], folder: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "sync_assets_tests.bench.client", *what]
    client = subprocess.run(command, cwd=folder, env=env, stdout=subprocess.PIPE, check=True)
    said: dict[str, Any] = json.loads(client.stdout)
    return said


def _job(what: Sequence[str], env: dict[str, str], folder: Path) -> dict[str, Any]:
    shutil.copy(ROOT / "dagster.yaml", folder)
    command = [sys.executable, "-m", "dagster", "job", "execute", "-m", *what]
    return watched(command, env | {"DAGSTER_HOME": str(folder)}, folder)


def watched(command: Sequence[str], env: Mapping[str, str], folder: Path) -> dict[str, Any]:
    """All of a command, from exec to exit. Raises RuntimeError with its last words where it fails."""
    began, pid, peak = time.monotonic(), 0, 0
    with (folder / "out").open("wb") as out:
        job = subprocess.Popen(command, cwd=folder, env=env, stdout=out, stderr=out)
        while not pid:
            peak = max(peak, peak_rss(job.pid))
            time.sleep(LOOK)
            pid, status, used = os.wait4(job.pid, os.WNOHANG)
    ended, job.returncode = time.monotonic(), os.waitstatus_to_exitcode(status)
    if job.returncode:
        raise RuntimeError("\n".join((folder / "out").read_text(errors="replace").splitlines()[-30:]))
    cpu = used.ru_utime + used.ru_stime
    return {"began": began, "ended": ended, "cpu": cpu, "peak_rss": peak, "counts": {}}


def stat(pid: int) -> list[int]:
    """The numbers of /proc/<pid>/stat after the name; the state, a letter, as 0."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return [0, *map(int, fields[1:])]


@contextmanager
def lab(folder: Path | None = None) -> Iterator[Lab]:
    """Its Postgres lies in `folder`, else where temporary files do."""
    root = Path(tempfile.mkdtemp(prefix="sync_assets-bench-", dir=folder))
    postgres = EmbeddedPostgres(root, settings={"autovacuum": "off"})
    try:
        yield Lab(postgres)
    finally:
        postgres.discard()
