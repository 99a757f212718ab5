"""The two commands for strangers, as programs: what they show, that they end whole, that they never meet each other."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from sync_assets.local import PROJECT, bare_environment
from sync_assets_tests.processes.survivors import nobody_survives, survivors

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

SYNC_ASSETS = Path(sys.executable).with_name("sync-assets")
PATIENCE = 150.0
SECRET = "stranger-canary-0123456789"


class Command:
    """A command in a session of its own; every process that it starts bears its mark."""

    def __init__(self, name: str, folder: Path) -> None:
        self.mark = f"mark-{uuid4().hex}"
        self.output = folder / f"{self.mark}.txt"
        # A shell with accounts set: nothing of them may reach the demo. The mark must: not by a name that is ours.
        env = {"MARK": self.mark} | ({"KAITEN_API_TOKEN": SECRET} if name == "demo" else {})
        with self.output.open("w") as output:
            self._process = subprocess.Popen(
                [SYNC_ASSETS, name],
                env=bare_environment() | env,
                cwd=PROJECT,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def said(self) -> str:
        return self.output.read_text()

    def environment(self, child: str) -> dict[str, str]:
        """What the child whose arguments hold these words was given."""
        pid = next(pid for pid, arguments in survivors(self.mark).items() if child in arguments)
        pairs = Path(f"/proc/{pid}/environ").read_bytes().decode().rstrip("\0").split("\0")
        return dict(pair.split("=", 1) for pair in pairs)

    def wait(self) -> int:
        return self._process.wait(PATIENCE)

    def wait_until(self, ready: Callable[[], object]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not ready():
            assert self._process.poll() is None and time.monotonic() < deadline, self.said[-4000:]
            time.sleep(0.05)

    def end(self, number: signal.Signals) -> int:
        self._process.send_signal(number)
        return self.wait()

    def clear_away(self) -> None:
        for pid in survivors(self.mark):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[str], Command]]:
    started: list[Command] = []

    def go(name: str) -> Command:
        started.append(Command(name, tmp_path))
        return started[-1]

    yield go
    for command in started:
        command.clear_away()


def test_demo_shows_three_runs_writes_nothing_in_the_last_and_leaves_nothing(start: Callable[[str], Command]) -> None:
    demo = start("demo")
    demo.wait_until(lambda: "kaiten/" in demo.said)

    # Others that are cut short beside it, in the same checkout, do not disturb it.
    for number in (signal.SIGINT, signal.SIGTERM):
        other = start("demo")
        other.wait_until(lambda other=other: "dagster job execute" in other.said)  # type: ignore[misc]
        time.sleep(1.5)
        assert other.end(number) == 128 + number, other.said
        assert other.said.endswith("everything was ended\n"), "what Dagster says of its end comes before"
        assert nobody_survives(other.mark)

    assert demo.wait() == 0, demo.said
    assert nobody_survives(demo.mark)
    said = demo.said
    assert re.findall(r"-j (\w+)", said) == ["full_sync", "incremental_sync", "incremental_sync"]
    titles = re.findall(r"^(\w+), run [0-9a-f]{8}", said, re.MULTILINE)
    assert titles == ["full_sync", "incremental_sync", "incremental_sync"], "one table per run"
    for column in ("fetched", "created", "updated", "unchanged", "deleted", "rejected", "requests", "records/s"):
        assert said.count(f" {column} ") >= 3
    # A shop's buyers are shown by no list, and some of its goods were deleted: two checks say so each time.
    assert re.findall(r"^(\d+) of \d+ checks did not pass", said, re.MULTILINE) == ["2"] * 3
    for entity in ("bitrix/orders", "bitrix/order_items"):
        what = r"\d+ parents are not here; each is accounted for"
        assert len(re.findall(rf"│ {entity} +│ links_resolve │ WARN +│ {what}", said)) == 3
    assert re.search(r"the last run found [1-9][\d,]* records unchanged and wrote 0\n", said)
    for entity in ("kaiten/cards", "worksection/tasks", "hubspot/contacts", "kommo/leads", "bitrix/payments"):
        assert re.search(rf"{entity} +[\d,]+ fetched in [\d.]+ s: [\d,]+ created", said), "progress per entity"
        assert len(re.findall(rf"│ {entity} ", said)) == 3, "a row in each run's table"
    second = said.split("-j incremental_sync")[1]
    assert re.search(r": .*[1-9]\d* (created|updated)", second), "the company has moved"
    arrived = re.findall(r"^  (\w+): \w.* of \w.* is in Postgres \d+ ms later$", said, re.MULTILINE)
    assert sorted(arrived) == ["bitrix", "hubspot", "kaiten", "kommo", "worksection"], said[-2000:]
    rule = r'lead \d+ is won: rule "Won: call and take care" ran, and its task "Call .+ \[#\d+\]" is in Kommo \d+ ms'
    began = r'sequence "After sale" began, and its first step, the note "After-sale .+ \[#\d+\]", is in Kommo \d+ ms'
    assert re.search(rule, said) and re.search(began, said), said[-2000:]
    paid = r"bitrix: order \d+, set to paid by SQL, is paid in the shop \d+ ms later; its echo caused nothing\n"
    assert re.search(paid, said), said[-2000:]
    assert "make up" in said and "sync-assets doctor" in said
    assert SECRET not in said and "Traceback" not in said and "Warning" not in said


def asked_for(env: dict[str, str]) -> dict[str, object]:
    """A job that is queued from another terminal, and what is told of it when it has ended."""

    def command(*words: str) -> str:
        argv = [SYNC_ASSETS, *words]
        done = subprocess.run(argv, env=env, cwd=PROJECT, capture_output=True, text=True, timeout=PATIENCE, check=False)
        assert done.returncode == 0, (done.stdout, done.stderr)
        return done.stdout

    job_id = command("crm-sync-pipelines", "--wait", "--requested-by", "a stranger").removesuffix("\n")
    return dict(json.loads(command("status", "--job", job_id, "--json")))


def test_up_serves_the_ui_starts_what_is_queued_and_leaves_nothing(start: Callable[[str], Command]) -> None:
    up = start("up")
    up.wait_until(lambda: "Ctrl-C ends everything" in up.said)
    url = re.findall(r"http://127\.0\.0\.1:\d+", up.said)[0]

    def assets() -> list[str]:
        try:
            query = {"query": "{ assetNodes { assetKey { path } } }"}
            answer = httpx.post(f"{url}/graphql", json=query, timeout=10)
            return ["/".join(n["assetKey"]["path"]) for n in answer.json()["data"]["assetNodes"]]
        except (httpx.HTTPError, ValueError, KeyError):
            return []

    up.wait_until(assets)
    wanted = {"kaiten/cards", "worksection/sections", "hubspot/contacts", "hubspot/call_contacts", "sync/report"}
    assert wanted <= set(assets())
    assert httpx.get(url, timeout=10).status_code == 200
    job = asked_for(up.environment("dagster dev"))
    assert (job["status"], job["requested_by"], job["job"]) == ("succeeded", "a stranger", "crm_sync_pipelines"), job
    result = job["result"]
    assert isinstance(result, dict) and set(result) == {"pipelines", "stages"} and all(result.values())
    assert re.search(r"Postgres +postgresql://sync_assets@127\.0\.0\.1:\d+/up ", up.said), "without its password"
    assert re.search(r"Webhooks +http://127\.0\.0\.1:\d+/webhooks/", up.said)
    assert up.end(signal.SIGINT) == 130
    assert nobody_survives(up.mark)
    assert "Traceback" not in up.said
