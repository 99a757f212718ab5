"""`sync-assets receive` as a person starts it: what it prints, what it never loads, and why it does not start."""

import logging
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sync_assets.cli import app
from sync_assets.errors import FixConfig
from sync_assets.local import bare_environment
from sync_assets.receive.listener import listen
from sync_assets_tests.canary import Canary
from sync_assets_tests.receive.command import ACCOUNT

HUBSPOT = {"HUBSPOT_ACCESS_TOKEN": "canary-hubspot-0123456789", "HUBSPOT_WEBHOOK_SECRET": "canary-signs-0123456789"}
ONCE = """
import sys
from sync_assets.cli import main
from sync_assets.receive.server import Receiver
run = Receiver.run
def once(self, ready):
    def then():
        ready()
        print("loaded:", *sorted({"dagster", "pandas", "starlette"} & sys.modules.keys()))
        self.stop()
    run(self, then)
Receiver.run = once
sys.argv = ["sync-assets", "receive", "--port", "0"]
main()
"""


def test_it_prints_its_addresses_without_secrets_and_never_loads_dagster(
    database_url: str, tmp_path: Path, canary: Canary
) -> None:
    canary.watch(*ACCOUNT.values(), *HUBSPOT.values())
    given = {"SYNC_SPOOL_FOLDER": str(tmp_path), "SYNC_PUBLIC_URL": "https://hooks.example.com"}
    env = bare_environment({"DATABASE_URL": database_url, **ACCOUNT, **HUBSPOT, **given})
    argv = [sys.executable, "-c", ONCE]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=60, check=False)
    *addresses, listening, loaded = done.stdout.splitlines()
    assert (done.returncode, done.stderr) == (0, "")
    assert addresses == ["https://hooks.example.com/webhooks/kaiten/***", "https://hooks.example.com/webhooks/hubspot"]
    assert listening.startswith("listening on http://127.0.0.1:")
    assert loaded == "loaded: starlette"
    canary.check("the output", done.stdout)


@pytest.mark.parametrize(
    ("env", "words"),
    [
        ({}, "no connected account has the secret of its webhooks. Next: run sync-assets webhooks"),
        (ACCOUNT, "DATABASE_URL is not set"),
        (HUBSPOT, "SYNC_PUBLIC_URL is not set, and HubSpot signs the address that it calls"),
        (ACCOUNT | {"SYNC_PUBLIC_URL": "http://hooks.example.com"}, "SYNC_PUBLIC_URL must start with https://"),
        (ACCOUNT | {"SYNC_SPOOL_FOLDER": "/dev/null"}, "Next: correct SYNC_SPOOL_FOLDER"),
        (ACCOUNT | {"SYNC_RECEIVER_PORT": "taken"}, "the receiver cannot listen on 127.0.0.1"),
    ],
)
def test_a_start_that_cannot_work_says_what_to_do(
    env: dict[str, str],
    words: str,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    canary: Canary,
) -> None:
    canary.watch(*ACCOUNT.values(), *HUBSPOT.values())
    with closing(listen("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1]) if env.get("SYNC_RECEIVER_PORT") else "0"
        database = {} if "DATABASE_URL" in words else {"DATABASE_URL": request.getfixturevalue("database_url")}
        given = {"SYNC_SPOOL_FOLDER": str(tmp_path), **database, **env, "SYNC_RECEIVER_PORT": port}
        monkeypatch.setattr(logging.getLogger("sync_assets"), "level", logging.NOTSET)
        for name in list(os.environ):
            monkeypatch.delenv(name)
        for name, value in bare_environment(given).items():
            monkeypatch.setenv(name, value)
        done = CliRunner().invoke(app, ["receive"])
    assert done.exit_code == 1 and done.output == ""
    assert isinstance(done.exception, FixConfig), "main prints it in one line"
    assert words in str(done.exception) and "Next: " in str(done.exception)
    canary.check("the error", str(done.exception))
