"""Kaiten's webhooks: the documented events and what each leads to, and an address that cannot be guessed."""

import json
from pathlib import Path
from typing import Any

import pytest

from sync_assets_tests.systems.deliveries import PATH_SECRET, PUBLIC, about, account, delivery, endpoint, events

AUTHOR = {"id": 9, "full_name": "canary name", "username": "canary", "email": "canary@example.test"}
STAMP = "2026-07-09T15:17:59.905Z"
URL = f"{PUBLIC}/webhooks/kaiten/{PATH_SECRET}"


def filled(keys: list[str]) -> dict[str, Any]:
    """A record with these keys: ids of their own, a stamp, and texts that must not be kept."""
    ids = {"id": 41, "card_id": 71, "user_id": 9, "space_id": 5, "board_id": 6, "version": 3, "lane_id": None}
    return {key: ids.get(key, STAMP if key in ("created", "updated") else f"canary {key}") for key in keys}


def leads_to(name: str) -> tuple[str, str]:
    if name == "board:add":
        return "boards", ""  # by id its place does not show
    if name == "tag:update":
        return "tags", ""
    subject, _, _ = name.partition(":")
    return {"space": ("spaces", "41"), "board": ("boards", "41"), "card": ("cards", "41")}.get(subject, ("cards", "71"))


def test_every_documented_event_leads_to_a_record(shared: Path) -> None:
    documented = json.loads((shared / "kaiten/kaiten_webhook_events.json").read_text())["events"]
    assert len(documented) == 22
    repeatable = {"tag:add", "tag:remove", "card_member:add", "card_member:remove", "card_member:update"}
    repeatable.add("card_time_log:update")  # its documented changes bear no stamp
    for name, said in documented.items():
        data = (
            {"old": filled(said["old"]), "changes": filled(said["changes_example"])}
            if said["kind"] == "update"
            else filled(said["keys"])
        )
        body = json.dumps({"event": name, "data": {**data, "author": AUTHOR}})
        (found,) = events("kaiten", body)
        assert (found.name, found.entity, found.key) == (name, *leads_to(name))
        assert not found.problem and found.unique is (name not in repeatable), name
        assert b"canary" not in found.payload, name
        assert events("kaiten", body)[0].identity == found.identity != events("kaiten", body + " ")[0].identity


def test_of_a_move_the_names_of_what_changed_are_kept() -> None:
    old = {"id": 5, "version": 3, "column_id": 1, "title": "canary"}
    changes = {"column_id": 2, "title": "canary", "version": 4, "updated": STAMP, "properties": {"id_1": "canary"}}
    (found,) = events("kaiten", json.dumps({"event": "card:update", "data": {"old": old, "changes": changes}}))
    told = json.loads(found.payload)
    assert told["changed"] == ["column_id", "properties", "title", "updated", "version"]
    assert (told["column_id"], told["now"]["column_id"]) == (1, 2) and b"canary" not in found.payload
    assert found.at is not None and found.at.isoformat() == "2026-07-09T15:17:59.905000+00:00"


def test_a_tag_that_is_put_on_a_card_again_is_another_event_w1() -> None:
    tag = {"id": 1, "card_id": 7, "created": STAMP, "updated": STAMP}
    (found,) = events("kaiten", json.dumps({"event": "tag:add", "data": tag}))
    assert not found.unique and found.at is None, "its stamp is that of the tag"


@pytest.mark.parametrize("name", ["card:move", "column:update", "anything"])
def test_an_event_that_nobody_knows_is_kept_w12(name: str) -> None:
    assert about(events("kaiten", json.dumps({"event": name, "data": {"id": 1}}))) == [(name, "", "")]


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"[]", b"null", b'{"event":1,"data":{}}', b'{"event":"card:add"}', b'{"event":"card:add","data":[]}',
        b'{"event":"card:update","data":{"old":[],"changes":{}}}', b'{"event":"card:add","data":{"id":\xff}}',
        b'{"event":"card:add","data":{"title":"x"}}', b'{"event":"card:add","data":{"id":"x"}}', b"[" * 30_000,
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_kept_with_the_reason_w7(body: bytes) -> None:
    (found,) = events("kaiten", body)
    assert found.problem and not found.entity and not found.key and len(found.payload) <= 4096


def test_only_the_whole_secret_opens_the_address_w2() -> None:
    authentic = endpoint("kaiten").authentic
    assert authentic(delivery(b"{}", URL)) and authentic(delivery(b"{}", URL + "?x=1"))
    for wrong in (URL[:-1], URL + "0", URL.upper(), URL + "/", f"{PUBLIC}/webhooks/kaiten", f"{URL}/more", ""):
        assert not authentic(delivery(b"{}", wrong)), wrong
    assert not account("kaiten", KAITEN_WEBHOOK_SECRET="").endpoints
    assert endpoint("kaiten").path("kaiten") == f"/webhooks/kaiten/{PATH_SECRET}"
