"""Actions whose way is not Kommo's: an order's status by SQL, http_post to allowed hosts; forms that are refused."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from sync_assets.automation.action_forms import parse_action
from sync_assets.automation.document import document
from sync_assets.errors import ActionRefused, BadAutomation, MissingSetting, UnsafeSetting
from sync_assets.extract.post import post
from sync_assets.send.deliver import Delivered, deliver
from sync_assets.send.http_post import http_accounts
from sync_assets.settings import sync_settings
from sync_assets.sync import connected
from sync_assets_tests.automation.acting import Acting, Open
from sync_assets_tests.canary import Canary

# push_order_status.


@pytest.fixture
def shop(open_acting: Open) -> Acting:
    """A lead that knows its order, and the order, which is new."""
    acting = open_acting({"bitrix.orders": "6", "bitrix.buyers": "listed"})
    world = acting.company.sandbox.world.bitrix
    for order in world.tables["orders"].ids:
        world.change("orders", order, statusId="N", canceled="N")
    acting.company.synced("full", "bitrix", ["order_statuses", "orders"])
    return acting


def test_a_lead_pushes_the_status_of_its_order_and_the_letter_knows_whence(shop: Acting) -> None:
    order = shop.company.sandbox.world.bitrix.tables["orders"].ids[0]
    shop.world.update("leads", shop.leads[0], price=order)
    shop.company.synced("reconcile", "kommo", "leads", ids=(str(shop.leads[0]),))
    letter = shop.act("push_order_status", shop.leads[0], order="current.price", status="paid")
    found = shop.company.query("select id, account, operation, key, depth, cause from sync.outbox")
    assert found == [(letter, "bitrix", "set_order_status", str(order), 1, "a test")]
    assert shop.deliver("bitrix").states == {"confirmed": 1}
    assert shop.company.sandbox.world.bitrix.get("orders", order)["statusId"] == "P"
    assert shop.act("push_order_status", shop.leads[0], order="current.price", status="paid") is None, (
        "it is so already"
    )


def test_an_order_pushes_its_own_status(shop: Acting) -> None:
    order = shop.company.sandbox.world.bitrix.tables["orders"].ids[1]
    assert shop.act("push_order_status", order, entity="orders", of="bitrix", status="completed")
    assert shop.company.query("select crm_status from bitrix.orders where id = %s", (order,)) == [("completed",)]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"order": 99}, "there is no order 99"),
        ({}, "does not say which order"),
        ({"order": "current.name"}, "order leads to no number"),
        ({"order": 1, "account": "bitrix_emea"}, "there is no account bitrix_emea"),
    ],
)
def test_an_order_that_cannot_be_found_is_said(shop: Acting, given: dict[str, Any], says: str) -> None:
    with pytest.raises(ActionRefused, match=says):
        shop.act("push_order_status", shop.leads[0], status="paid", **given)
    assert shop.states() == []


# http_post.


@dataclass
class Receiver:
    url: str
    host: str
    answers: list[tuple[int, dict[str, str], bytes]] = field(default_factory=list)  # the next ones; then 200
    posts: list[tuple[str, dict[str, str], Any]] = field(default_factory=list)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    told = Receiver("", "")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            told.posts.append((self.path, {k.lower(): v for k, v in self.headers.items()}, json.loads(body)))
            status, headers, answer = told.answers.pop(0) if told.answers else (200, {}, b"ok")
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    told.host = f"127.0.0.1:{server.server_port}"
    told.url = f"http://{told.host}/hook"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield told
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def calling(open_acting: Open, receiver: Receiver) -> Acting:
    return open_acting(SYNC_HTTP_ALLOW=receiver.host)


def send(acting: Acting) -> Delivered:
    (account,) = http_accounts(acting.company.settings)
    with connected(account, acting.company.settings) as connection:
        return deliver(connection)


def test_a_post_says_what_its_body_says_and_bears_no_secret(
    calling: Acting, receiver: Receiver, canary: Canary
) -> None:
    lead = calling.leads[0]
    body = {"lead": "{{after.id}}", "all": ["{{after.name}}!", 7], "whose": {"contact": "{{contact.name}}"}}
    calling.act("http_post", lead, url=receiver.url, body=body)
    assert send(calling).states == {"confirmed": 1}, calling.letters()
    ((path, headers, said),) = receiver.posts
    assert path == "/hook" and said["lead"] == lead and said["all"] == [f"{(calling.raw(lead) or {})['name']}!", 7]
    canary.check("what was posted", json.dumps([headers, said]))
    assert "authorization" not in headers and "cookie" not in headers


def test_every_try_bears_the_same_key_and_another_letter_another(calling: Acting, receiver: Receiver) -> None:
    receiver.answers += [(503, {}, b""), (429, {}, b"")]
    for lead in calling.leads[:2]:
        calling.act("http_post", lead, url=receiver.url)
    assert send(calling).states == {"failed": 2}
    calling.due_now()
    assert send(calling).states == {"confirmed": 2}
    keys = [headers["idempotency-key"] for _, headers, _ in receiver.posts]
    assert keys[:2] == keys[2:] and len(set(keys)) == 2
    assert calling.company.query("select count(*) from sync.delivery where closed_until is not null") == [(0,)]


def test_after_a_kill_it_is_sent_again_with_its_key(calling: Acting, receiver: Receiver) -> None:
    calling.act("http_post", calling.leads[0], url=receiver.url)
    calling.company.query(
        "update sync.outbox set state = 'sending', attempts = 1, leased_by = 'process 1 on elsewhere,',"
        """ lease_until = now(), sent = '{"answered": true}', sent_at = now()"""
    )
    assert send(calling).states == {"confirmed": 1} and len(receiver.posts) == 1


@pytest.mark.parametrize("status", [302, 400, 404])
def test_a_refusal_is_given_up_and_a_redirect_is_not_followed(calling: Acting, receiver: Receiver, status: int) -> None:
    receiver.answers.append((status, {"Location": receiver.url}, b""))
    calling.act("http_post", calling.leads[0], url=receiver.url)
    assert send(calling).states == {"dead": 1} and len(receiver.posts) == 1
    assert f"127.0.0.1 answers {'with a redirect ' if status == 302 else ''}" in str(calling.letters()[0][2])


def test_an_answer_without_end_and_one_that_trickles_are_not_read(calling: Acting, receiver: Receiver) -> None:
    receiver.answers.append((200, {"Content-Length": str(1 << 40)}, b"x"))
    calling.act("http_post", calling.leads[0], url=receiver.url)
    assert send(calling).states == {"confirmed": 1}


def test_nobody_is_called_who_is_not_on_the_list(open_acting: Open, receiver: Receiver) -> None:
    acting = open_acting(SYNC_HTTP_ALLOW="hooks.example.com")
    acting.act("http_post", acting.leads[0], url=receiver.url)
    assert send(acting).states == {"dead": 1} and receiver.posts == []
    assert "is not in SYNC_HTTP_ALLOW" in str(acting.letters()[0][2])
    path = acting.folder / "action.yaml"
    path.write_text(f"do: http_post\nurl: {receiver.url}")
    with pytest.raises(BadAutomation, match="is not in SYNC_HTTP_ALLOW"):
        parse_action(document(path), hosts=acting.company.settings.http_hosts)


def test_a_name_that_leads_into_a_private_network_is_not_called(
    open_acting: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    acting = open_acting(SYNC_HTTP_ALLOW="hooks.example.com")
    # A name server of ours would be needed to say this of a name.
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: [(2, 1, 6, "", ("10.0.0.7", 443))])
    with pytest.raises(UnsafeSetting, match="private network"):
        post("https://hooks.example.com/x", b"{}", {}, allowed=acting.company.settings.http_hosts, deadline=1.0)


@pytest.mark.parametrize("hosts", ["https://hooks.example.com", "hooks.example.com/path", "10.0.0.7", "intranet"])
def test_the_list_takes_public_hosts_only(hosts: str) -> None:
    with pytest.raises((MissingSetting, UnsafeSetting), match="SYNC_HTTP_ALLOW"):
        sync_settings({"SYNC_HTTP_ALLOW": hosts})


# Forms.


WRONG = [
    ("do: dance", "none of"),
    ("do: set_status", "status is missing"),
    ("do: set_status\nstatus: won", "whole number"),
    ("do: create_task\ntext: Call {{secrets.token}}", "cannot be named here"),
    ("do: create_task\ntext: Call {{after.name", "begins with"),
    ("do: create_task\ntext: Call\ndue: tomorrow", "time span"),
    ("do: add_note\ntexts: x", "did you mean text"),
    ("do: assign\nuser: nobody", "cannot be named here"),
    ("do: push_order_status\nstatus: teleported", "none of new"),
    ("do: http_post\nurl: https://{{after.host}}/x", "written out"),
    ("do: http_post\nurl: http://example.com/x", "https://"),
    ("do: http_post\nurl: https://10.0.0.7/x", "private host"),
    ("do: http_post\nurl: https://a.example.com/\nbody: text", "a body is a mapping"),
    ("do: set_field\nfield: a b\nvalue: 1", "own name"),
    ("- do: log", "says what to do"),
]


@pytest.mark.parametrize(("text", "says"), WRONG)
def test_an_action_that_cannot_be_understood_is_refused_with_its_line(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "action.yaml"
    path.write_text(text)
    with pytest.raises(BadAutomation, match=says) as told:
        parse_action(document(path))
    assert told.value.where["line"] >= 1


@pytest.mark.parametrize(
    ("do", "system", "entity"), [("do: add_tag\ntag: x", "hubspot", "deals"), ("do: add_tag\ntag: x", "kommo", "tasks")]
)
def test_an_action_is_for_records_that_know_it(tmp_path: Path, do: str, system: str, entity: str) -> None:
    path = tmp_path / "action.yaml"
    path.write_text(do)
    with pytest.raises(BadAutomation, match="done to"):
        parse_action(document(path), system=system, entity=entity)


def test_what_a_record_says_is_never_taken_for_a_place(acting: Acting) -> None:
    lead = acting.leads[0]
    acting.edit(lead, name="{{contact.email}} {{after.price}}")
    acting.act("add_note", lead, text="<{{after.name}}>")
    ((payload,),) = acting.company.query("select payload from sync.outbox")
    assert payload["text"] == "<{{contact.email}} {{after.price}}>"


def test_the_same_key_puts_no_second_letter_into_the_outbox(acting: Acting) -> None:
    first, second = (acting.enqueue("add_note", acting.leads[0], unique="once", text="x") for _ in range(2))
    assert first == second and acting.states() == ["pending"]
