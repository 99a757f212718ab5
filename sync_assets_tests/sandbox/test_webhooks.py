"""What all vendors' webhooks share: nothing until somebody registers, everything after, and each fault as it says."""

import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime

import httpx
import pytest

from sync_assets.sandbox.__main__ import parser
from sync_assets.sandbox.dialect import RefusedError
from sync_assets.sandbox.server import Sandbox
from sync_assets.sandbox.webhooks.news import News
from sync_assets_tests.sandbox.conftest import UNLIMITED
from sync_assets_tests.sandbox.receiver import Receiver


@pytest.fixture
def cards(sb: Sandbox, receiver: Receiver) -> Iterator[list[int]]:
    """Ten cards of a Kaiten that is listened to."""
    sb.webhooks.register("kaiten", receiver.url, events=["card:update"])
    yield list(sb.world.kaiten.cards)[:10]


def titles(receiver: Receiver) -> list[str]:
    return [one.json()["data"]["changes"]["title"] for one in receiver.arrived]


def rename(sb: Sandbox, cards: list[int], word: str = "") -> list[str]:
    """Each card gets a title with its number in the list, while nothing leaves."""
    with sb.webhooks.holding():
        for n, card in enumerate(cards):
            sb.world.kaiten.update_card(card, title=f"{word}{n}")
    return [f"{word}{n}" for n in range(len(cards))]


def test_changes_are_recorded_whether_anybody_listens_or_not(sb: Sandbox, receiver: Receiver) -> None:
    sb.world.advance(3)
    assert sb.webhooks.changes and not sb.webhooks.deliveries
    # Systems whose company nobody has looked at are founded by their first day, whose history is not news.
    assert {change.system for change in sb.webhooks.changes} == {*sb.world.systems, "bitrix.shop"}
    assert all(change.listeners == 0 for change in sb.webhooks.changes)
    for system in sb.webhooks.vendors:
        sb.webhooks.register(system, receiver.url, **({"secret": "s"} if system == "bitrix.shop" else {}))
    receiver.answer = (200, b'{"status":"success"}')
    seen, worksection = len(sb.webhooks.changes), sb.webhooks.vendor("worksection")
    worksection.hooks.clear()
    sb.world.advance(2)
    sb.webhooks.settled()
    happened = [c for c in sb.webhooks.changes[seen:] if c.system != "worksection"]
    sent = [(d.system, *pair) for d in sb.webhooks.deliveries for pair in zip(d.events, d.keys, strict=True)]
    assert sorted(sent) == sorted((c.system, c.name, c.key) for c in happened)
    assert all(d.ok for d in sb.webhooks.deliveries) and len(receiver.arrived) == len(sb.webhooks.deliveries)


def test_two_worlds_of_one_seed_live_alike_whether_they_are_listened_to_or_not(sb: Sandbox, receiver: Receiver) -> None:
    for system in sb.webhooks.vendors:
        sb.webhooks.register(system, receiver.url, **({"secret": "s"} if system == "bitrix.shop" else {}))
    with Sandbox(rates=UNLIMITED) as other:
        for world in (sb.world, other.world):
            world.clock.freeze(datetime(2026, 1, 5, tzinfo=UTC))
            world.advance(3)
        for system in sb.world.systems:
            for entity in sb.world.system(system).entities():
                ids = [[r.get("id") for r in world.truth(system, entity)] for world in (sb.world, other.world)]
                assert ids[0] == ids[1], (system, entity)


def test_an_edit_of_many_parts_is_told_when_it_is_over() -> None:
    news, heard = News(), []
    news.tell("before anybody listens")
    news.listener = heard.append
    with news.scope():
        news.tell(1)
        with news.scope():
            news.tell(2)
        assert heard == []
    news.tell(3)
    assert heard == [[(1,), (2,)], [(3,)]]
    with pytest.raises(RefusedError), news.scope():
        news.tell(4)
        raise RefusedError("what was done before the refusal is told all the same")
    assert heard[-1] == [(4,)]


def test_letters_leave_in_the_order_of_the_changes(sb: Sandbox, receiver: Receiver, cards: list[int]) -> None:
    expected = rename(sb, cards)
    sb.webhooks.settled()
    assert sorted(titles(receiver)) == expected
    sb.webhooks.vendor("kaiten").connections = 1
    again = rename(sb, cards, "again ")
    sb.webhooks.settled()
    assert titles(receiver)[len(cards) :] == again


def test_w1_duplicates_are_the_same_bytes_again(sb: Sandbox, receiver: Receiver, cards: list[int]) -> None:
    sb.faults.set("W1", system="kaiten", copies=2, times=1)
    rename(sb, cards[:2])
    sb.webhooks.settled()
    assert sorted(titles(receiver)) == ["0", "0", "0", "1"]
    assert len({one.body for one in receiver.arrived}) == 2
    assert [d.faults for d in sb.webhooks.deliveries].count("W1") == 3


def test_w2_forged_letters_know_the_address_and_no_secret(sb: Sandbox, receiver: Receiver, cards: list[int]) -> None:
    hub = sb.webhooks.register("hubspot", receiver.url)
    contact = sb.world.hubspot.shelves["contacts"].ids[0]
    for variant in ("secret", "body", "missing", "truncated"):
        sb.faults.set("W2", system="hubspot", variant=variant, times=1)
        sb.world.hubspot.update("contacts", contact, firstname=variant)
        sb.webhooks.settled()
    secret = hub.secrets["client_secret"].encode()
    honest = [hashlib.sha256(secret + one.body).hexdigest() for one in receiver.arrived]
    given = [one.headers.get("x-hubspot-signature") for one in receiver.arrived]
    assert given[0] not in (honest[0], None) and given[1] not in (honest[1], None) and given[2] is None
    assert given[3] == honest[3][:32]
    tampered = receiver.arrived[1].json()
    assert tampered[0]["subscriptionType"] == "contact.propertyChange"
    # Where nothing is signed the address is the secret.
    sb.faults.set("W2", system="kaiten", times=1)
    rename(sb, cards[:2])
    sb.webhooks.settled()
    paths = [one.path for one in receiver.arrived[4:]]
    assert sorted(paths) == ["/hooks/0123456789abcdef", "/hooks/fedcba9876543210"]


def test_w3_stale_letters_are_rightly_signed_long_ago(sb: Sandbox, receiver: Receiver) -> None:
    sb.webhooks.register("hubspot", receiver.url)
    contact = sb.world.hubspot.shelves["contacts"].ids[0]
    for age in (0, 3600, -3600):
        sb.faults.set("W3", system="hubspot", age=age, times=1)
        sb.world.hubspot.update("contacts", contact, firstname=str(age))
        sb.webhooks.settled()
    now, old, ahead = (int(one.headers["x-hubspot-request-timestamp"]) for one in receiver.arrived)
    assert 3_590_000 < now - old < 3_610_000 and 3_590_000 < ahead - now < 3_610_000


def test_w4_mixes_up_what_waits_or_delays_some(sb: Sandbox, receiver: Receiver, cards: list[int]) -> None:
    sb.webhooks.vendor("kaiten").connections = 1
    sb.faults.set("W4", system="kaiten", window=5)
    expected = rename(sb, cards)
    sb.webhooks.settled()
    assert titles(receiver) != expected and sorted(titles(receiver)) == expected
    # One alone waits for others, and not for ever.
    sb.world.kaiten.update_card(cards[0], title="alone")
    sb.webhooks.settled()
    assert titles(receiver)[-1] == "alone"
    sb.faults.clear()
    sb.faults.set("W4", system="kaiten", delay=0.05, times=1)
    rename(sb, cards[:3], "late ")
    sb.webhooks.settled()
    assert titles(receiver)[-3:] == ["late 1", "late 2", "late 0"]


def test_w5_changes_a_few_records_very_often(sb: Sandbox, receiver: Receiver) -> None:
    for system in ("kaiten", "hubspot", "kommo", "worksection", "bitrix"):
        sb.webhooks.register(system, receiver.url)
        before = len(sb.webhooks.changes)
        sb.faults.set("W5", system=system, events=12, records=3)
        own = [change for change in sb.webhooks.changes[before:] if change.system == system]
        assert len({change.key for change in own}) == 3 and len({(c.name, c.key) for c in own}) * 4 == len(own)
    sb.webhooks.settled()
    assert sum(len(d.events) for d in sb.webhooks.deliveries) == sum(c.listeners for c in sb.webhooks.changes)
    first, second = sb.webhooks.burst("kommo", 2, 4), sb.webhooks.burst("kommo", 2, 4)
    assert len({*first, *second}) == 4
    with pytest.raises(RefusedError, match="takes a system"):
        sb.faults.set("W5")


def test_w11_drops_its_share_and_says_which(sb: Sandbox, receiver: Receiver, cards: list[int]) -> None:
    sb.faults.set("W11", system="kaiten", p=0.5)
    expected = rename(sb, cards)
    sb.webhooks.settled()
    lost = [d for d in sb.webhooks.deliveries if d.reason == "dropped"]
    assert 0 < len(lost) < len(cards) and len(receiver.arrived) == len(cards) - len(lost)
    gone = [json.loads(d.letter.body)["data"]["changes"]["title"] for d in lost]
    assert sorted(titles(receiver) + gone) == expected
    assert len([c for c in sb.webhooks.changes if c.name == "card:update"]) == len(cards)


def test_w12_tells_of_what_did_not_happen(sb: Sandbox, receiver: Receiver, cards: list[int]) -> None:
    lies = (
        ("kaiten", "card:teleport", "cards", cards[0]),
        ("hubspot", "contact.deletion", "contacts", sb.world.hubspot.shelves["contacts"].ids[0]),
        ("kommo", "delete_lead", "leads", next(iter(sb.world.kommo.living["leads"]))),
        ("worksection", "delete_task", "tasks", next(iter(sb.world.worksection.tasks))),
        ("bitrix", "ONSALEBEFOREORDERDELETE", "orders", sb.world.bitrix.tables["orders"].ids[0]),
        ("bitrix.shop", "order.explode", "orders", sb.world.bitrix.tables["orders"].ids[0]),
    )
    for system, name, entity, key in lies:
        sb.webhooks.remove(system)
        sb.webhooks.register(system, receiver.url, **({"secret": "s"} if system == "bitrix.shop" else {}))
        before = len(receiver.arrived)
        sb.faults.set("W12", system=system, event=name, entity=entity, key=str(key))
        sb.webhooks.settled()
        assert len(receiver.arrived) == before + 1 and str(key) in receiver.arrived[-1].body.decode()
    assert not sb.webhooks.changes


def test_nobody_home_is_a_failed_delivery_and_holds_nobody_up(sb: Sandbox, cards: list[int]) -> None:
    sb.webhooks.remove("kaiten")
    sb.webhooks.register("kaiten", "http://127.0.0.1:1/hook")
    rename(sb, cards)
    sb.webhooks.settled()
    assert {(d.status, d.ok) for d in sb.webhooks.deliveries} == {(0, False)}
    assert len(sb.webhooks.deliveries) == len(cards) and "refused" in sb.webhooks.deliveries[0].reason.lower()


def test_a_registration_names_secrets_that_the_vendor_has(sb: Sandbox) -> None:
    with pytest.raises(RefusedError, match="http://"):
        sb.webhooks.register("kaiten", "file:///etc/passwd")
    with pytest.raises(RefusedError, match="kaiten"):
        sb.webhooks.register("pipedrive", "http://127.0.0.1:1/")
    with pytest.raises(RefusedError, match="client_secret"):
        sb.webhooks.register("hubspot", "http://127.0.0.1:1/", password="x")
    given = sb.webhooks.register("hubspot", "http://127.0.0.1:1/", secret="mine")
    assert given.secrets == {"client_secret": "mine"}
    own = sb.webhooks.register("hubspot", "http://127.0.0.1:1/")
    assert own.secrets == sb.address_book()["webhooks"]["hubspot"]


def test_the_control_port_registers_counts_and_forgets(sb: Sandbox, receiver: Receiver) -> None:
    control = sb.control_url
    body = {"system": "bitrix.shop", "url": receiver.url, "events": ["order.update"], "secret": "canary"}
    id = httpx.post(f"{control}/_webhooks", json=body).json()["id"]
    receiver.answer = (200, b'{"status":"success"}')
    keys = httpx.post(f"{control}/_webhooks/burst", json={"system": "bitrix", "events": 4, "records": 2}).json()
    assert httpx.post(f"{control}/_webhooks/settled", json={}).json() == {"deliveries": 4}
    shown = httpx.get(f"{control}/_webhooks").json()
    (hook,) = shown["registrations"]
    assert (hook["id"], hook["secrets"], hook["status"]) == (id, ["secret"], "active") and "canary" not in str(shown)
    assert sorted(d["keys"] for d in shown["deliveries"]) == sorted([key] for key in keys)
    assert {d["status"] for d in shown["deliveries"]} == {200}
    assert httpx.get(f"{control}/_webhooks?since=3").json()["deliveries"] == shown["deliveries"][3:]
    assert httpx.get(f"{control}/_webhooks/counts").json()["bitrix.shop"] == {"order.update": [4, 4]}
    changes = httpx.get(f"{control}/_webhooks/changes").json()
    assert [c["key"] for c in changes if c["system"] == "bitrix.shop"] == keys
    assert httpx.post(f"{control}/_webhooks/speed", json={"factor": 60}).json() == {"factor": 60}
    assert httpx.delete(f"{control}/_webhooks", params={"system": "bitrix.shop", "id": id}).status_code == 200
    httpx.post(f"{control}/_webhooks/burst", json={"system": "bitrix", "events": 1, "records": 1})
    sb.webhooks.settled()
    assert len(receiver.arrived) == 4
    assert httpx.post(f"{control}/_webhooks", json={"system": "none", "url": receiver.url}).status_code == 400


def test_the_command_registers_before_anything_happens(receiver: Receiver) -> None:
    command = [sys.executable, "-m", "sync_assets.sandbox", "--size", "tiny", "--webhook"]
    command += [f"worksection={receiver.url},user=u,password=p", "--fault", "W5:worksection:events=3,records=3"]
    environment = {**os.environ, "PYTHONWARNINGS": "error"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
        try:
            assert process.stdout is not None
            said = json.loads(process.stdout.readline())
            httpx.post(f"{said['control']}/_webhooks/settled", json={}).raise_for_status()
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(5) == 0
    assert len(receiver.arrived) == 3 and receiver.arrived[0].headers["authorization"] == "Basic dTpw"
    assert "--webhook SYSTEM=URL" in parser().format_help() and "W11" in parser().format_help()
