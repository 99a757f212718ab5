"""Each notifier over a real socket: its form, its escapes, its lengths, and that nothing it says bears its secret."""

import html
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync_assets.errors import BadCredentials, MissingSetting, RecordRejected, SourceUnavailable, SyncError, Throttled
from sync_assets.notify.message import Message, short
from sync_assets.notify.notifier import Notifier
from sync_assets.notify.notifiers import notifiers
from sync_assets.notify.slack import escaped
from sync_assets.notify.telegram import units
from sync_assets.settings import sync_settings
from sync_assets_tests.notify.ear import SLACK_PATH, TOKEN, Answer, Ear, telegram

TRAP = "<b>&</b> *bold* _it_ ~gone~ `code` <!channel> <http://trap|here> kaiten/card_types"
LINK = ("Run 12ab", "https://dagster.example.com/runs/12ab?a=1&b=<2>|3")


def of(ear: Ear, name: str) -> Notifier:
    (found,) = notifiers(sync_settings(ear.env(name)))
    assert found.name == name
    return found


def test_slack_gets_its_form_with_everything_escaped(ear: Ear) -> None:
    of(ear, "slack").send(Message("A title & more", (TRAP,), LINK))
    ((method, path, body),) = ear.requests
    assert (method, path) == ("POST", SLACK_PATH)
    (block,) = body["blocks"]
    assert block["type"] == "section" and block["text"]["type"] == "mrkdwn" and block["text"]["verbatim"] is True
    text = block["text"]["text"]
    assert body["text"] == text and text.startswith("*A title &amp; more*\n")
    shown = text.partition("\n")[2].rpartition("\n")[0]
    assert not re.search(r"[<>*~`]|(?<!\w)_|_(?!\w)|&(?!amp;|lt;|gt;)", shown), shown
    assert "kaiten/card_types" in shown, "a name can be copied"
    assert text.endswith("\n<https://dagster.example.com/runs/12ab?a=1&amp;b=%3C2%3E%7C3|Run 12ab>")


def test_telegram_gets_its_form_with_everything_escaped(ear: Ear) -> None:
    of(ear, "telegram").send(Message("A title & more", (TRAP,), LINK))
    ((method, path, body),) = ear.requests
    assert (method, path) == ("POST", f"/bot{TOKEN}/sendMessage")
    assert body["chat_id"] == "-100123" and body["parse_mode"] == "HTML"
    assert body["link_preview_options"] == {"is_disabled": True}
    title, line, link = body["text"].split("\n")
    assert title == "<b>A title &amp; more</b>" and html.unescape(line) == TRAP and "<" not in line
    assert link == '<a href="https://dagster.example.com/runs/12ab?a=1&amp;b=&lt;2&gt;|3">Run 12ab</a>'


@given(st.lists(st.text(max_size=700), max_size=40), st.text(max_size=200))
def test_no_message_is_longer_than_may_be_and_lines_are_cut_as_a_whole(lines: list[str], title: str) -> None:
    sent: list[dict[str, str]] = []

    class Kept(Exception):
        pass

    def keep(_self: Notifier, _method: str, _url: str, body: dict[str, str], _setting: str) -> None:
        sent.append(body)
        raise Kept

    settings = sync_settings({"SYNC_ALERT_SLACK_URL": "https://hooks.slack.com/x",
                              "SYNC_ALERT_TELEGRAM_TOKEN": "1:a", "SYNC_ALERT_TELEGRAM_CHAT": "1"})  # fmt: skip
    message = Message(short(title), tuple(short(line) for line in lines), LINK)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Notifier, "_ask", keep)
        for notifier in notifiers(settings):
            with pytest.raises(Kept):
                notifier.send(message)
    slack, told = (body["text"] for body in sent)
    assert len(slack) <= 3000 and units(told) <= 4096
    allowed = {html.escape(line) for line in message.lines}
    first, *middle, last = told.split("\n")
    assert first == f"<b>{html.escape(message.title)}</b>" and last.startswith("<a ")
    assert all(line in allowed or line.startswith("… (more") for line in middle)
    assert all(line in {escaped(x) for x in message.lines} or line.startswith("… (more")
               for line in slack.split("\n")[1:-1])  # fmt: skip


@pytest.mark.parametrize("name", ["slack", "telegram"])
@pytest.mark.parametrize(
    ("status", "error"),
    [
        (500, SourceUnavailable), (503, SourceUnavailable), (408, SourceUnavailable), (429, Throttled),
        (400, RecordRejected), (302, RecordRejected), (401, BadCredentials), (403, BadCredentials),
        (404, BadCredentials), (410, BadCredentials),
    ],
)  # fmt: skip
def test_an_answer_says_whose_move_it_is_and_no_secret(
    name: str, status: int, error: type[SyncError], ear: Ear
) -> None:
    described = f"no {TOKEN} here"
    answer = telegram(status, described) if name == "telegram" else Answer(status, "no_service")
    answer.headers["Location"] = ear.url + "/elsewhere"
    ear.says(name, answer)
    with pytest.raises(error) as told:
        of(ear, name).send(Message("t"))
    assert len(ear.requests) == 1, "no redirect is followed"
    assert str(status) in str(told.value) or status == 429
    assert "canary" not in str(told.value) and told.value.__cause__ is None


def test_a_page_of_somebody_elses_is_not_quoted(ear: Ear) -> None:
    ear.says("slack", Answer(403, "<html>the token canary-slack-0123456789 of Ms Miller</html>"))
    with pytest.raises(BadCredentials) as told:
        of(ear, "slack").send(Message("t"))
    assert "Miller" not in str(told.value)
    ear.says("telegram", Answer(200, "<html>please log in</html>"))
    with pytest.raises(SourceUnavailable, match="not Telegram"):
        of(ear, "telegram").send(Message("t"))


def test_of_an_answer_without_end_no_more_is_read_than_its_beginning(ear: Ear) -> None:
    ear.says("slack", Answer(200, "x" * 50_000_000))
    of(ear, "slack").send(Message("t"))


@pytest.mark.parametrize("name", ["slack", "telegram"])
def test_nobody_there_is_an_outage(name: str) -> None:
    with Ear() as gone:
        notifier = of(gone, name)
    with pytest.raises(SourceUnavailable) as told:
        notifier.send(Message("t"))
    assert "canary" not in str(told.value)


def test_the_doctor_reaches_them_without_sending(ear: Ear) -> None:
    for notifier in notifiers(sync_settings(ear.env())):
        assert notifier.reach()
    assert ear.texts("slack") == ear.texts("telegram") == []
    assert [(method, path.rpartition("/")[2]) for method, path, _ in ear.requests] == [
        ("HEAD", SLACK_PATH.rpartition("/")[2]), ("POST", "getChat"),
    ]  # fmt: skip
    ear.says("telegram", telegram(401, "Unauthorized"))
    with pytest.raises(BadCredentials, match="Unauthorized"):
        of(ear, "telegram").reach()


@pytest.mark.parametrize(
    ("env", "says"),
    [
        ({"SYNC_ALERT_TELEGRAM_TOKEN": "1:canary"}, "SYNC_ALERT_TELEGRAM_CHAT missing"),
        ({"SYNC_ALERT_TELEGRAM_CHAT": "1"}, "SYNC_ALERT_TELEGRAM_TOKEN missing"),
        ({"SYNC_ALERT_TELEGRAM_TOKEN": "canary/../x", "SYNC_ALERT_TELEGRAM_CHAT": "1"}, "SYNC_ALERT_TELEGRAM_TOKEN"),
        ({"SYNC_ALERT_TELEGRAM_TOKEN": "1:canary", "SYNC_ALERT_TELEGRAM_CHAT": "a b"}, "SYNC_ALERT_TELEGRAM_CHAT"),
        ({"SYNC_ALERT_SLACK_URL": "http://hooks.slack.com/canary"}, "SYNC_ALERT_SLACK_URL must start with https"),
        ({"SYNC_ALERT_SLACK_URL": "https://10.0.0.1/canary"}, "SYNC_ALERT_SLACK_URL names a private host"),
        ({"SYNC_ALERT_TELEGRAM_URL": "http://telegram.example.com"}, "SYNC_ALERT_TELEGRAM_URL must start with https"),
        ({"SYNC_ALERT_QUIET": "22-7"}, "SYNC_ALERT_QUIET"),
        ({"SYNC_ALERT_QUIET": "07:00-07:00"}, "SYNC_ALERT_QUIET"),
        ({"SYNC_ALERT_QUIET_EXCEPT": "some"}, "SYNC_ALERT_QUIET_EXCEPT"),
        ({"SYNC_ALERT_TIME_ZONE": "Mars/Olympus"}, "SYNC_ALERT_TIME_ZONE"),
        ({"SYNC_ALERT_REMIND_HOURS": "-1"}, "SYNC_ALERT_REMIND_HOURS"),
        ({"SYNC_DAGSTER_URL": "javascript:alert(1)"}, "SYNC_DAGSTER_URL"),
        ({"SYNC_DAGSTER_URL": "https://me:canary@dagster.example.com"}, "SYNC_DAGSTER_URL"),
    ],
)
def test_a_setting_that_is_wrong_is_named_and_not_shown(env: dict[str, str], says: str) -> None:
    with pytest.raises(SyncError) as told:
        sync_settings(env)
    assert says in str(told.value) and "canary" not in str(told.value)


def test_secrets_print_masked_and_none_set_means_nobody() -> None:
    settings = sync_settings({"SYNC_ALERT_SLACK_URL": "https://hooks.slack.com/canary",
                              "SYNC_ALERT_TELEGRAM_TOKEN": "1:canary", "SYNC_ALERT_TELEGRAM_CHAT": "1"})  # fmt: skip
    assert "canary" not in repr(settings) and len(notifiers(settings)) == 2
    assert notifiers(sync_settings({})) == []
    with pytest.raises(MissingSetting):
        sync_settings({"SYNC_ALERT_TELEGRAM_CHAT": "1"})


def test_a_host_that_leads_into_a_private_network_is_refused(ear: Ear, monkeypatch: pytest.MonkeyPatch) -> None:
    def private(*_: object, **__: object) -> list[tuple[object, ...]]:
        return [(2, 1, 6, "", ("10.0.0.1", 443))]

    monkeypatch.setattr("socket.getaddrinfo", private)
    (slack,) = notifiers(sync_settings({"SYNC_ALERT_SLACK_URL": "https://hooks.slack.com/canary"}))
    with pytest.raises(SyncError, match=r"private network.*SYNC_ALERT_SLACK_URL") as told:
        slack.send(Message("t"))
    assert "canary" not in str(told.value)
