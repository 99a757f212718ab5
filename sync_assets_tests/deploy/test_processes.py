"""The processes of compose.yaml, started by its own commands without containers: together they bring a run to its end.

Once and for all, because it takes as long as five processes need to start.
"""

import json
import re
import shutil
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from dagster._grpc.client import DagsterGrpcClient

from sync_assets.local import PROJECT, bare_environment
from sync_assets.local_webhooks import free_port
from sync_assets.postgres import EmbeddedPostgres
from sync_assets.processes import Process, wait_for
from sync_assets.settings import FROM_FILE
from sync_assets_tests.canary import Canary
from sync_assets_tests.company import Company
from sync_assets_tests.deploy.commands import compose, of_compose

SECRET = "deployed-canary-0123456789abcdef"
WEBHOOKS = ("KAITEN_WEBHOOK_SECRET", "HUBSPOT_WEBHOOK_SECRET", "KOMMO_WEBHOOK_SECRET",
            "WORKSECTION_WEBHOOK_PASSWORD", "BITRIX_APPLICATION_TOKEN")  # fmt: skip

LAUNCH = """
mutation ($params: ExecutionParams!) {
  launchRun(executionParams: $params) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
  }
}
"""
STATE = "query ($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }"
LOCATIONS = """
query { workspaceOrError { ... on Workspace { locationEntries { name locationOrLoadError { __typename } } } } }
"""
JOB = {
    "selector": {
        "repositoryLocationName": "sync_assets.definitions",
        "repositoryName": "__repository__",
        "jobName": "kaiten_full_sync",
        "assetSelection": [{"path": ["kaiten", "tags"]}],
        "assetCheckSelection": [],
    },
    "mode": "default",
}
DAEMONS = "query { instance { daemonHealth { id allDaemonStatuses { required healthy } } } }"
ENDED = {"SUCCESS", "FAILURE", "CANCELED"}


class Set:
    """The processes by the names of their services, in a folder where they may write `.dagster` and the spool alone."""

    def __init__(self, company: Company, folder: Path) -> None:
        self.folder, self.processes = folder, dict[str, Process]()
        self.ports = {"4000": free_port(), "3000": free_port(), "8401": free_port()}
        secrets = folder / "secrets"
        secrets.mkdir()
        self.home = folder / "home"
        self.home.mkdir()
        shutil.copy(PROJECT / "dagster.yaml", self.home)
        held = {**company.env, **dict.fromkeys(WEBHOOKS, SECRET)}
        settings = {"WORKSECTION_WEBHOOK_USER": "sync_assets", "SYNC_PUBLIC_URL": "https://sync.example.com"}
        self.env: dict[str, dict[str, str]] = {}
        self.words: dict[str, list[str]] = {}
        for name, words, given in of_compose():
            files = {}
            for variable, path in given.items():
                if variable.endswith(FROM_FILE):
                    value = held[variable.removesuffix(FROM_FILE)]
                    file = secrets / Path(path).name
                    file.write_text(f"{value}\n")
                    files[variable] = str(file)
            secret = {variable.removesuffix(FROM_FILE) for variable in files} | {"DATABASE_URL"}
            plain = {variable: value for variable, value in company.env.items() if variable not in secret}
            here = {"DAGSTER_CODE_HOST": "127.0.0.1", "DAGSTER_CODE_PORT": str(self.ports["4000"])}
            base = bare_environment({**plain, **settings, **given, **files, **here, "DAGSTER_HOME": str(self.home)})
            self.env[name] = {**base, "SYNC_SPOOL_FOLDER": str(folder / "spool")}
            self.words[name] = [self._here(word) for word in words]

    def _here(self, word: str) -> str:
        """A word of compose.yaml on this machine: free ports, loopback, the project's own folder."""
        if word in self.ports:
            return str(self.ports[word])
        return re.sub(r"\b0\.0\.0\.0\b", "127.0.0.1", word).replace("/app/", f"{PROJECT}/")

    def start(self, name: str) -> Process:
        command = [Path(sys.executable).with_name(self.words[name][0]), *self.words[name][1:]]
        log = self.folder / f"{name}.log"
        self.processes[name] = Process(name, command, env=self.env[name], cwd=self.home, log=log)
        return self.processes[name]

    def url(self, port: str, path: str) -> str:
        return f"http://127.0.0.1:{self.ports[port]}{path}"

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        answer = httpx.post(
            self.url("3000", "/graphql"), json={"query": query, "variables": variables}, timeout=60
        ).json()
        assert "errors" not in answer, json.dumps(answer)[:2000]
        return dict(answer["data"])

    def check(self, name: str) -> int:
        """What the service's health check says, run as its container would."""
        test = [str(word) for word in compose()["services"][name]["healthcheck"]["test"][1:]]
        words = [re.sub("|".join(self.ports), lambda m: str(self.ports[m.group()]), word) for word in test]
        program = Path(sys.executable).with_name(words[0])
        done = Process("check", [program, *words[1:]], env=self.env[name], cwd=self.home, log=self.folder / "check.log")
        while (code := done.wait(0.1)) is None:
            pass
        return code


@pytest.fixture
def processes(
    make_company: Callable[..., Company], cluster: EmbeddedPostgres, canary: Canary, tmp_path: Path
) -> Iterator[Set]:
    url = cluster.create_database("deployed")
    company = make_company(database_url=url)
    canary.watch(SECRET)
    found = Set(company, tmp_path)
    try:
        yield found
    finally:
        for process in reversed(found.processes.values()):
            process.end(10.0)
        shutil.rmtree(tmp_path / "secrets")
        canary.check_database(url)
        cluster.drop_database("deployed")


def listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def until(holds: Callable[[], object], processes: Set, seconds: float = 120.0) -> None:
    until = time.monotonic() + seconds
    while not holds():
        for process in processes.processes.values():
            assert process.poll() is None, process.last_lines()
        assert time.monotonic() < until, {p.name: p.last_lines() for p in processes.processes.values()}
        time.sleep(0.1)


def test_the_processes_of_compose_work_together(processes: Set) -> None:
    migrate = processes.start("migrate")
    while (code := migrate.wait(0.1)) is None:
        pass
    assert code == 0, migrate.last_lines()
    del processes.processes["migrate"]
    # `roles` would leave roles behind in the cluster that tests share; test_logins.py makes them in one of its own.
    # As depends_on has it: the code server and the receiver after the migration, the others after the code server.
    code_server, _ = processes.start("code"), processes.start("receiver")
    wait_for(lambda: listens(processes.ports["4000"]), code_server, timeout=120)
    client = DagsterGrpcClient(host="127.0.0.1", port=processes.ports["4000"])
    wait_for(lambda: client.health_check_query() == "SERVING", code_server, timeout=120)
    processes.start("webserver"), processes.start("daemon")

    def told(url: str) -> httpx.Response | None:
        try:
            return httpx.get(url, timeout=5)
        except httpx.TransportError:
            return None

    until(lambda: told(processes.url("3000", "/server_info")), processes)
    (location,) = processes.ask(LOCATIONS)["workspaceOrError"]["locationEntries"]
    assert location["name"] == "sync_assets.definitions", location
    assert location["locationOrLoadError"]["__typename"] == "RepositoryLocation", location
    launched = processes.ask(LAUNCH, params=JOB)["launchRun"]
    assert launched["__typename"] == "LaunchRunSuccess", launched
    run = launched["run"]["runId"]

    def state() -> str:
        return str(processes.ask(STATE, id=run)["runOrError"]["status"])

    def daemons() -> list[dict[str, bool]]:
        return list(processes.ask(DAEMONS)["instance"]["daemonHealth"]["allDaemonStatuses"])

    until(lambda: state() in ENDED, processes)
    assert state() == "SUCCESS", processes.processes["code"].last_lines()

    health = told(processes.url("8401", "/health"))
    assert health is not None and (health.status_code, health.json()["status"]) == (200, "ok")
    until(lambda: all(daemon["healthy"] for daemon in daemons() if daemon["required"]), processes)
    for name in ("webserver", "receiver"):
        assert processes.check(name) == 0, name
    ended = processes.processes.pop("receiver")
    ended.end(10.0)
    assert processes.check("receiver") != 0
    written = {path.name for path in processes.home.iterdir()} - {"dagster.yaml"}
    # The two others it tries to make, and goes on where it may not: containers of compose may write .dagster alone.
    assert written <= {".dagster", "logs", ".logs_queue"}
