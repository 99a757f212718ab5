"""Worksection's webhooks: HTTP Basic, the answer that it wants, and what each event leads to."""

import json
from base64 import b64encode
from typing import Any

import pytest

from sync_assets.errors import MissingSetting, UnsafeSetting
from sync_assets_tests.systems.deliveries import SECRETS, about, account, delivery, endpoint, events

USER, PASSWORD = SECRETS["WORKSECTION_WEBHOOK_USER"], SECRETS["WORKSECTION_WEBHOOK_PASSWORD"]


def basic(user: str = USER, password: str = PASSWORD, scheme: str = "Basic") -> str:
    return f"{scheme} {b64encode(f'{user}:{password}'.encode()).decode()}"


def row(action: str, kind: str, page: str = "/project/1/23/", id: Any = "23", **more: Any) -> dict[str, Any]:
    person = {"id": "5", "email": "canary@example.test", "name": "canary"}
    return {
        "action": action, "object": {"type": kind, "id": id, "page": page}, "date_added": "2026-11-01 12:00",
        "user_from": person, "new": {"title": "canary", "priority": "1"}, "old": {"title": ""}, **more,
    }  # fmt: skip


LEADS_TO = [
    *((row(action, "task"), "tasks", "23") for action in ("post", "update", "close", "reopen", "delete")),
    (row("update", "task", page="/task/23/"), "tasks", "23"),
    (row("update", "task", page="/project/1/23/77/", id="77"), "tasks", "23"),
    (row("update", "task", page="", id="77"), "tasks", "77"),
    *((row(action, "comment", id="9"), "tasks", "23") for action in ("post", "update", "delete")),
    (row("post", "comment", page="/comment/9/", id="9"), "tasks", ""),
    *((row(action, "project", "/project/1/", "1"), "projects", "1") for action in ("post", "update", "close")),
    (row("post", "project", "/project/1/", 1), "projects", "1"),
    (row("post", "file"), "", ""),
    (row("explode", "task"), "", ""),
]


@pytest.mark.parametrize(("told", "entity", "key"), LEADS_TO)
def test_what_an_event_leads_to(told: dict[str, Any], entity: str, key: str) -> None:
    (found,) = events("worksection", json.dumps([told]))
    name = f"{told['action']}_{told['object']['type']}"
    assert (found.name, found.entity, found.key, found.problem) == (name, entity, key, "")
    assert not found.unique, "its time is of a minute"
    assert found.at is None, "whose zone nobody knows"
    assert b"canary" not in found.payload and json.loads(found.payload)["changed"] == ["priority", "title"]


def test_the_same_row_is_the_same_event_and_another_is_not_w1() -> None:
    first, same, other = events(
        "worksection", json.dumps([row("update", "task"), row("update", "task"), row("post", "task")])
    )
    assert first.identity == same.identity != other.identity  # fmt: skip


@pytest.mark.parametrize("body", [b"", b"[]", b" ", b"{}"])
def test_the_trial_of_an_address_is_no_event(body: bytes) -> None:
    assert not events("worksection", body)
    assert endpoint("worksection").answer == b'{"status":"OK"}'


@pytest.mark.parametrize("new", ["", [], None, "text"])
def test_nothing_new_may_be_an_empty_text(new: Any) -> None:
    assert about(events("worksection", json.dumps([row("update", "task", new=new)]))) == [
        ("update_task", "tasks", "23")
    ]


@pytest.mark.parametrize(
    "bad", [b"1", b"{}", b'{"action":"post"}', b'{"action":1,"object":{}}', b'{"a":"\xff"}', b'{"a"}']
)
def test_one_bad_event_does_not_cost_the_others_w7(bad: bytes) -> None:
    good = json.dumps(row("update", "task")).encode()
    found = events("worksection", b"[" + good + b"," + bad + b"," + good + b"]")
    assert [e.entity for e in found] == ["tasks", "", "tasks"] and found[1].problem


def test_a_project_without_a_number_is_kept_with_the_reason() -> None:
    (found,) = events("worksection", json.dumps([row("post", "project", id="x")]))
    assert (found.entity, found.problem) == ("", "it bears no id")


WRONG = {
    "nothing": "",
    "another password": basic(password="another"),
    "another user": basic(user="another"),
    "no user": basic(user=""),
    "cut": basic()[:-4],
    "a token": f"Bearer {PASSWORD}",
    "another scheme": basic(scheme="Digest"),
    "in clear": f"Basic {USER}:{PASSWORD}",
    "no text": "Basic \udcff",
}


@pytest.mark.parametrize("wrong", WRONG)
def test_who_does_not_know_the_password_is_refused_w2(wrong: str) -> None:
    authentic = endpoint("worksection").authentic
    assert authentic(delivery(b"[]", headers={"authorization": basic()}))
    assert authentic(delivery(b"[]", headers={"authorization": basic(scheme="basic")}))
    assert not authentic(delivery(b"[]", headers={"authorization": WRONG[wrong]}))
    assert not authentic(delivery(b"[]"))


def test_without_user_and_password_there_is_no_endpoint_w2() -> None:
    none = {"WORKSECTION_WEBHOOK_USER": "", "WORKSECTION_WEBHOOK_PASSWORD": ""}
    assert not account("worksection", **none).endpoints
    for name in none:
        with pytest.raises(MissingSetting, match="one is set and one is not"):
            account("worksection", **{name: ""})
    with pytest.raises(UnsafeSetting, match="colon"):
        account("worksection", WORKSECTION_WEBHOOK_USER="a:b")
