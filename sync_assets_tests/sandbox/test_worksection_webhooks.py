"""Worksection's webhooks: an address is tried first, must answer OK each time, and is paused after ten failures."""

import threading
import time

import httpx

from sync_assets.sandbox.server import Sandbox
from sync_assets_tests.sandbox.conftest import UNLIMITED, Client
from sync_assets_tests.sandbox.receiver import Arrived, Receiver

EVENTS = "post_task,update_task,close_task,reopen_task,delete_task,post_project,update_project"


def test_a_new_address_must_answer_ok(sb: Sandbox, receiver: Receiver, client: Client) -> None:
    for refusal in ((200, b"ok"), (200, b'{"status":"ok"}'), (200, b"[]"), (500, b'{"status":"OK"}'), (204, b"")):
        receiver.answer = refusal
        answer = client.worksection("add_webhook", url=receiver.url, events=EVENTS)
        assert (answer["status"], answer["status_code"]) == ("error", 11), refusal
    assert client.worksection("add_webhook", url="http://127.0.0.1:1/", events=EVENTS)["status_code"] == 11
    assert client.worksection("get_webhooks")["data"] == []
    receiver.answer = (200, b'{"status":"OK"}')
    tried = len(receiver.arrived)
    more = {"http_user": "u", "http_pass": "p"}
    made = client.worksection("add_webhook", url=receiver.url, events=EVENTS, **more)
    assert made["status"] == "ok" and len(receiver.arrived) == tried + 1
    assert receiver.arrived[-1].headers["authorization"] == "Basic dTpw"
    (row,) = client.worksection("get_webhooks")["data"]
    assert row == {"id": str(made["id"]), "url": receiver.url, "events": ",".join(sorted(EVENTS.split(","))),
                   "status": "active"}  # fmt: skip
    assert client.worksection("delete_webhook", id=made["id"]) == {"status": "ok"}
    assert client.worksection("delete_webhook", id=made["id"])["status"] == "error"
    assert client.worksection("add_webhook", url=receiver.url, events="fly_task")["status_code"] == 11
    assert client.worksection("add_webhook", url=receiver.url)["status_code"] == 10


def test_an_address_that_thinks_it_over_keeps_nobody_waiting(sb: Sandbox, receiver: Receiver, client: Client) -> None:
    asked, answer_now = threading.Event(), threading.Event()

    def slow(_: Arrived) -> tuple[int, bytes]:
        asked.set()
        answer_now.wait(5)
        return 200, b'{"status":"OK"}'

    receiver.answer = slow
    said = {}
    url = f"{sb.worksection_url}/api/oauth2"
    token = sb.world.systems["worksection"].credentials()["access_token"]
    body = {"action": "add_webhook", "url": receiver.url, "events": EVENTS, "access_token": token}
    registering = threading.Thread(target=lambda: said.update(httpx.post(url, json=body, timeout=10).json()))
    registering.start()
    assert asked.wait(5)
    assert client.worksection("get_users")["status"] == "ok" and not said
    answer_now.set()
    registering.join()
    assert said["status"] == "ok"


def test_bodies_are_the_events_that_get_events_shows(sb: Sandbox, receiver: Receiver, client: Client) -> None:
    company = sb.world.worksection
    sb.webhooks.register("worksection", receiver.url, user="u", password="p")
    sb.webhooks.vendor("worksection").connections = 1
    project = next(iter(company.projects))
    task = company.create_task(project, name="New")
    child = company.create_task(project, task, name="Child")
    company.rename_task(child, "Renamed")
    company.set_tags(task, [next(iter(company.tags["task"]))])
    company.close_task(child)
    company.reopen_task(child)
    company.delete_task(task)
    company.rename_project(project, "Renamed")
    company.archive_project(project)
    sb.webhooks.settled()
    told = [event for one in receiver.arrived for event in one.json()]
    shown = list(reversed(client.worksection("get_events", period="1h")["data"]))
    assert shown.pop()["action"] == "close", "of a closed project nobody is told"
    assert [(e["action"], e["object"]["id"]) for e in told] == [(e["action"], e["object"]["id"]) for e in shown]
    assert [e["object"]["page"] for e in told][:2] == [f"/task/{task}/", f"/task/{child}/"]
    without = [{**e, "object": {**e["object"], "page": ""}} for e in (*told, *shown)]
    assert without[: len(told)] == without[len(told) :]
    assert all(one.json().__class__ is list for one in receiver.arrived)


def test_the_page_is_spelled_as_a_switch_says_and_projects_narrow(receiver: Receiver) -> None:
    with Sandbox(rates=UNLIMITED, switches={"worksection.hook_page": "project"}) as sb:
        client, company = Client(sb), sb.world.worksection
        wanted, other = list(company.projects)[:2]
        client.worksection("add_webhook", url=receiver.url, events="post_task", projects=wanted)
        for project in (wanted, other):
            company.create_task(project, name="New")
        company.rename_task(next(iter(company.tasks)), "Renamed")
        sb.webhooks.settled()
        (event,) = receiver.arrived[-1].json()
        assert event["object"]["page"] == f"/project/{wanted}/{event['object']['id']}/"
        assert len(receiver.arrived) == 2, "the trial, and one task"
        client.http.close()


def test_ten_failures_in_a_row_pause_it(sb: Sandbox, receiver: Receiver, client: Client) -> None:
    company = sb.world.worksection
    client.worksection("add_webhook", url=receiver.url, events="update_task")
    task = next(iter(company.tasks))

    def rename(times: int, answer: tuple[int, bytes]) -> None:
        receiver.answer = answer
        for n in range(times):
            company.rename_task(task, f"{time.monotonic()} {n}")
        sb.webhooks.settled()

    def status() -> str:
        return str(client.worksection("get_webhooks")["data"][0]["status"])

    rename(9, (200, b"thanks"))
    rename(1, (200, b'{"status":"OK"}'))
    rename(9, (500, b'{"status":"OK"}'))
    assert status() == "active"
    rename(1, (500, b""))
    assert status() == "paused"
    seen = len(receiver.arrived)
    rename(1, (200, b'{"status":"OK"}'))
    assert len(receiver.arrived) == seen == 21 and all(d.attempt == 0 for d in sb.webhooks.deliveries)
