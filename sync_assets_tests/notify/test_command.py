"""`sync-assets alerts` at a terminal: what is open, who was told, and whether anybody can be; and what doctor says."""

import json
from collections.abc import Callable

import pytest
from click.testing import Result
from typer.testing import CliRunner

from sync_assets import cli
from sync_assets.doctor import _notifiers
from sync_assets.settings import sync_settings
from sync_assets_tests.canary import Canary
from sync_assets_tests.notify.conftest import Book
from sync_assets_tests.notify.ear import Answer, Ear, telegram

MakeBook = Callable[..., Book]
Ask = Callable[..., Result]


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch, canary: Canary, ear: Ear, database_url: str) -> Ask:
    """ask(*arguments, notifiers=(...)) -> what the command printed."""

    def run(*arguments: str, notifiers: tuple[str, ...] | None = ("slack", "telegram")) -> Result:
        with monkeypatch.context() as patch:
            env = ear.env(*notifiers) if notifiers else {}
            for name, value in {**env, "DATABASE_URL": database_url, "SYNC_ASSETS_ENV_FILE": "/dev/null"}.items():
                patch.setenv(name, value)
            result = CliRunner().invoke(cli.app, ["alerts", *arguments])
        canary.check("the output", result.output + result.stderr)
        return result

    return run


def test_open_causes_are_listed_with_the_next_step_and_whom_it_did_not_reach(
    ask: Ask, make_book: MakeBook, ear: Ear
) -> None:
    nothing = ask()
    assert nothing.exit_code == 0 and "nothing is wrong, as far as is known" in nothing.output
    assert "nobody has looked yet" in nothing.stderr
    ear.says("telegram", Answer(503))
    book = make_book()
    book.tick(book.cause(stopped=("kaiten/boards",)), book.cause("over"))
    book.tick(book.cause(stopped=("kaiten/boards",)))
    (row,) = json.loads(ask("--json").stdout)
    assert (row["account"], row["entity"], row["cause"]) == ("kaiten", "cards", "columns_parse")
    assert row["next_step"] == "look at them" and row["stopped"] == ["kaiten/boards"] and row["told_at"]
    assert row["not_told_by"].startswith("telegram: ") and "503" in row["not_told_by"]
    shown = ask()
    assert "telegram does not take messages: " in shown.stderr and "look at them" in shown.output
    assert "nobody has looked since 2026-03-10 12:00 UTC" in shown.stderr
    assert len(json.loads(ask("--json", "--days", "100000").stdout)) == 2


def test_a_test_message_goes_through_every_notifier_and_says_what_came_back(ask: Ask, ear: Ear) -> None:
    done = ask("test")
    assert done.exit_code == 0 and done.output.split("\n")[:2] == ["slack: took it", "telegram: took it"]
    assert "a test" in ear.texts("slack")[0] and "a test" in ear.texts("telegram")[0]
    ear.says("slack", Answer(404, "no_service"))
    ear.says("telegram", telegram(400, "Bad Request: chat not found"))
    done = ask("test")
    assert done.exit_code == 1
    assert "slack: 127.0.0.1 answers 404: no_service" in done.stderr and "correct SYNC_ALERT_SLACK_URL" in done.stderr
    assert "Bad Request: chat not found" in done.stderr and "SYNC_ALERT_TELEGRAM_CHAT" in done.stderr
    none = ask("test", notifiers=None)
    assert none.exit_code == 1 and "there is no notifier" in str(none.exception)


def test_doctor_says_whether_they_can_be_reached_and_sends_nothing(ear: Ear) -> None:
    (line,) = _notifiers(sync_settings({}))
    assert line.state == "note" and "nobody is told" in line.says and "SYNC_ALERT_SLACK_URL" in line.todo
    settings = sync_settings(ear.env())
    assert [(line.what, line.state) for line in _notifiers(settings)] == [
        ("alerts: slack", "ok"), ("alerts: telegram", "ok"),
    ]  # fmt: skip
    ear.says("telegram", telegram(401, "Unauthorized"))
    ok, bad = _notifiers(settings)
    assert (ok.state, bad.state) == ("ok", "bad") and "401" in bad.says and "SYNC_ALERT_TELEGRAM_TOKEN" in bad.todo
    assert ear.heard == {"slack": [], "telegram": []}
