"""Each fault does what faults.md calls it; nothing else changes while it does."""

import json
import time
import zlib
from typing import Any

import httpx
import pytest

from sync_assets.sandbox.dialect import RefusedError
from sync_assets.sandbox.faults import KINDS
from sync_assets.sandbox.server import Sandbox
from sync_assets_tests.sandbox.conftest import Client


def test_a1_says_429_with_each_spelling_of_when_to_come_back(sb: Sandbox, client: Client) -> None:
    for retry_after, expected in ((7, "7"), (-5, "-5"), (99999, "99999"), ("absent", None)):
        sb.faults.set("A1", system="kaiten", times=1, retry_after=retry_after)
        answer = client.kaiten("/spaces")
        assert (answer.status_code, answer.headers.get("retry-after")) == (429, expected)
        assert client.kaiten("/spaces").status_code == 200
    sb.faults.set("A1", times=1, retry_after="date")
    assert client.kaiten("/spaces").headers["retry-after"].endswith("GMT")
    sb.faults.set("A1", times=1, reset="seconds", retry_after="absent")
    assert client.kaiten("/spaces").headers["x-ratelimit-reset"] == "1"
    sb.faults.set("A1", system="worksection", times=1, status=200)
    assert client.worksection("get_users")["message"] == "Too many requests"


def test_a3_is_down_for_some_requests_some_seconds_or_by_chance(sb: Sandbox, client: Client) -> None:
    sb.faults.set("A3", system="kaiten", path="/cards", times=2, status=502)
    statuses = [client.kaiten(path).status_code for path in ("/cards", "/spaces", "/cards", "/cards")]
    assert statuses == [502, 200, 502, 200]
    sb.faults.set("A3", seconds=0.1)
    assert client.kaiten("/spaces").status_code == 503
    time.sleep(0.12)
    assert client.kaiten("/spaces").status_code == 200
    sb.faults.clear()
    sb.faults.set("A3", p=0.5)
    assert {client.kaiten("/spaces").status_code for _ in range(20)} == {200, 503}


def test_a4_resets_the_connection(sb: Sandbox, client: Client) -> None:
    for options in ({}, {"after": 50}):
        sb.faults.set("A4", times=1, **options)
        with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
            client.kaiten("/cards")
    assert client.kaiten("/spaces").status_code == 200


def test_a5_dribbles_past_any_timeout_per_read(sb: Sandbox, client: Client) -> None:
    sb.faults.set("A5", times=1, bytes=30, interval=0.04)
    began = time.monotonic()
    assert client.kaiten("/spaces", timeout=1).status_code == 200
    assert time.monotonic() - began > 1


def test_a6_cuts_the_body_openly_in_secret_and_as_valid_json(sb: Sandbox, client: Client) -> None:
    sb.faults.set("A6", times=1)
    with pytest.raises(httpx.RemoteProtocolError):
        client.kaiten("/spaces")
    sb.faults.set("A6", times=1, **{"with": "chunked"})
    answer = client.kaiten("/spaces")
    assert answer.status_code == 200 and "content-length" not in answer.headers
    with pytest.raises(json.JSONDecodeError):
        answer.json()
    sb.faults.set("A6", times=1, cut="[]")
    assert client.kaiten("/spaces").json() == []


@pytest.mark.parametrize("variant", ["html", "login", "empty", "204", "bom", "latin1"])
def test_a7_is_no_json(sb: Sandbox, client: Client, variant: str) -> None:
    sb.faults.set("A7", times=1, variant=variant)
    answer = client.kaiten("/tags")
    assert answer.status_code == (204 if variant == "204" else 200)
    with pytest.raises(ValueError):
        json.loads(answer.content.decode("utf-8"))


@pytest.mark.parametrize(
    ("variant", "kaiten", "worksection"),
    [
        ("list_missing", {}, {"status": "ok"}),
        ("null", None, {"status": "ok", "data": None}),
        ("object", {"message": "see attachment"}, {"status": "ok", "data": {"message": "see attachment"}}),
        ("error200", {"error": "internal"}, {"error": "internal"}),
    ],
)
def test_a8_is_json_of_the_wrong_shape(
    sb: Sandbox, client: Client, variant: str, kaiten: Any, worksection: Any
) -> None:
    sb.faults.set("A8", variant=variant)
    answers = client.kaiten("/spaces").json(), client.worksection("get_users")
    if variant == "error200":
        assert all(answer["error"] == "internal" for answer in answers)
    else:
        assert answers == (kaiten, worksection)
    sb.faults.clear()
    sb.faults.set("A8", variant="numbers")
    assert list(client.kaiten("/spaces").json()) == ["1", "2"]


def test_a9_is_a_small_answer_that_unpacks_to_a_large_one(sb: Sandbox, client: Client) -> None:
    sb.faults.set("A9", mb=8)
    with client.http.stream("GET", "/spaces") as answer:
        packed = b"".join(answer.iter_raw())
    assert len(packed) < 20_000 and len(zlib.decompress(packed, 31)) > 8_000_000


def test_a11_refuses_a_revoked_token_and_a_missing_right(sb: Sandbox, client: Client) -> None:
    sb.faults.set("A11", status=401)
    assert client.kaiten("/spaces").text == "Invalid token"
    assert client.worksection("get_users")["status_code"] == 2
    sb.faults.clear()
    sb.faults.set("A11", status=403, path="/users")
    assert client.kaiten("/users").status_code == 403 and client.kaiten("/spaces").status_code == 200


def test_a13_drifts(sb: Sandbox, client: Client) -> None:
    plain = client.kaiten("/tags").json()[0]
    seen = {}
    for variant in ("new_field", "missing_field", "changed_type", "renamed"):
        sb.faults.set("A13", times=1, variant=variant)
        seen[variant] = client.kaiten("/tags").json()[0]
    assert seen["new_field"].keys() - plain.keys() == {"brand_new_field"}
    assert plain.keys() - seen["missing_field"].keys() == {"name"}
    assert seen["changed_type"]["name"] == {"value": plain["name"]}
    assert seen["renamed"]["name_v2"] == plain["name"] and "name" not in seen["renamed"]


def test_a14_forgets_the_same_share_before_paging(sb: Sandbox, client: Client) -> None:
    sb.faults.set("A14", path="/cards", forget=0.6)
    kept = client.cards()
    assert 70 < len(kept) < 130 and kept == client.cards()
    assert client.kaiten("/cards").json() == kept[:100], "pages stay full while there is more"
    assert client.kaiten(f"/cards/{next(iter(sb.world.kaiten.cards))}").status_code == 200
    sb.faults.clear()
    sb.faults.set("A14", forget=1.0)
    assert client.cards() == [] and client.worksection("get_all_tasks")["data"] == []
    sb.faults.clear()
    assert len(client.cards()) == 250


def test_l1_hides_parents_at_first_or_for_ever(sb: Sandbox, client: Client) -> None:
    users = [user["id"] for user in client.kaiten("/users").json()]
    sb.faults.set("L1", path="/users$", times=1)
    assert len(client.kaiten("/users").json()) < len(users) == len(client.kaiten("/users").json())
    space = client.kaiten("/spaces").json()[0]["id"]
    boards = {board["id"] for board in client.kaiten(f"/spaces/{space}/boards").json()}
    sb.faults.set("L1", path="/boards", share=1.0)
    assert client.kaiten(f"/spaces/{space}/boards").json() == []
    assert client.kaiten(f"/boards/{min(boards)}").status_code == 200
    sb.faults.clear()
    sb.faults.set("L1", path="/boards", share=1.0, by_id="no")
    assert client.kaiten(f"/boards/{min(boards)}").status_code in (403, 404)


def test_l3_s3_s7_are_facts_of_the_world(sb: Sandbox, client: Client) -> None:
    for fault in ("L3", "S3", "S7"):
        sb.faults.set(fault)
        assert client.cards(additional_card_fields="description") == sb.world.truth("kaiten", "cards")
    cards = {c["id"]: c for c in client.cards()}
    ids = sorted(cards)
    assert ids[0] in cards[ids[2]]["children_ids"] and ids[3] in cards[ids[3]]["children_ids"]
    names = [tag["name"] for tag in client.kaiten("/tags").json()]
    assert {"![x](http://trap.test/x.png)"} <= set(names)
    assert any(name.startswith("x" * 64) for name in names)


def test_p1_goes_round_and_p2_repeats_without_skipping(sb: Sandbox, client: Client) -> None:
    pages = [client.kaiten("/cards", params={"limit": 50, "offset": n * 50}).json() for n in range(4)]
    sb.faults.set("P1", path="/cards")
    assert client.kaiten("/cards", params={"limit": 50, "offset": 150}).json() == pages[0]
    sb.faults.clear()
    sb.faults.set("P1", path="/cards", loop=2)
    assert client.kaiten("/cards", params={"limit": 50, "offset": 150}).json() == pages[1]
    sb.faults.clear()
    sb.faults.set("P2", path="/cards", rows=3)
    seen = [card["id"] for card in client.cards()]
    assert len(seen) > len(set(seen)) == 250
    sb.faults.clear()
    sb.faults.set("P2", path="/cards", variant="within", rows=2, times=1)
    page = [card["id"] for card in client.kaiten("/cards").json()]
    assert len(page) - len(set(page)) == 2


def test_p3_moves_the_world_and_p12_never_ends(sb: Sandbox, client: Client) -> None:
    before = set(sb.world.kaiten.cards)
    sb.faults.set("P3", path="/cards", insert=2, delete=3)
    seen = {card["id"] for card in client.cards()}
    assert before - seen - set(sb.world.kaiten.cards) == set() and before & set(sb.world.kaiten.cards) - seen
    sb.faults.clear()
    sb.faults.set("P12", path="/cards")
    for page in range(6):
        assert len(client.kaiten("/cards", params={"offset": page * 100, "order_by": "id"}).json()) == 100


def test_p9_shows_another_time(sb: Sandbox, client: Client) -> None:
    honest = client.kaiten("/spaces").headers["date"]
    sb.faults.set("P9", skew=-7200)
    assert client.kaiten("/spaces").headers["date"] != honest


@pytest.mark.parametrize(
    ("fault", "variant", "expected"),
    [
        ("V1", "nul", b"\\u0000"), ("V2", "surrogate", b"\\ud800"), ("V2", "bytes", b"\xff\xfe"),
        ("V3", "overflow", b":1e400000"), ("V3", "nan", b":NaN"), ("V3", "digits", b":" + b"9" * 5000),
        ("V3", "int64", b":9223372036854775808"), ("V3", "comma", b'"1 000,50"'),
        ("V4", "dotted", b'"02.03.2025"'), ("V4", "zero", b'"0000-00-00"'), ("V4", "feb30", b'"2025-02-30"'),
        ("V4", "year10000", b'"10000-'), ("V4", "unix", b":1740873600"), ("V4", "empty", b'"due_date":""'),
        ("V5", "invent_stage", b'"invented_stage"'), ("V6", "nested", b"[" * 20_000),
        ("V6", "long_key", b"k" * 4000), ("V6", "wrong_type", b'{"was":"text"}'),
    ],
)  # fmt: skip
def test_v_faults_damage_one_record_down_to_the_byte(
    sb: Sandbox, client: Client, fault: str, variant: str, expected: bytes
) -> None:
    id = list(sb.world.kaiten.cards)[7]
    sb.faults.set(fault, path="/cards", record=id, variant=variant)
    for path in ("/cards", f"/cards/{id}"):
        assert client.kaiten(path).content.count(expected) == 1
    assert expected not in client.kaiten("/cards", params={"offset": 100}).content


def test_v_faults_reach_worksection_and_take_any_field_and_value(sb: Sandbox, client: Client) -> None:
    sb.faults.set("V3", system="worksection", path="get_all_tasks", record=0, field="max_money", value="1e999")
    action = f"{sb.worksection_url}/api/oauth2?action=get_all_tasks"
    token = sb.world.systems["worksection"].credentials()["access_token"]
    assert httpx.get(f"{action}&access_token={token}").content.count(b'"max_money":1e999') == 1
    sb.faults.clear()
    sb.faults.set("V5", path="/cards", times=1)
    assert client.kaiten("/cards").json()[0]["state"] == 99


def test_v7_spoils_the_id(sb: Sandbox, client: Client) -> None:
    first = client.kaiten("/cards").json()[0]["id"]
    seen = {}
    for variant in ("missing", "null", "string", "duplicate"):
        sb.faults.set("V7", path="/cards", times=1, variant=variant)
        seen[variant] = [card.get("id", "none") for card in client.kaiten("/cards").json()]
    assert (seen["missing"][0], seen["null"][0], seen["string"][0]) == ("none", None, str(first))
    assert seen["duplicate"][0] == first and seen["duplicate"][-1] == str(first)


def test_unknown_faults_and_options_are_refused_with_what_there_is(sb: Sandbox) -> None:
    with pytest.raises(RefusedError, match="known: A1"):
        sb.faults.set("Z9")
    with pytest.raises(RefusedError, match="retry_after"):
        sb.faults.set("A1", retry="5")
    parsed = sb.faults.parse("A3:kaiten:path=/cards,times=2,status=502,p=0.5")
    assert (parsed.system, parsed.path, parsed.times) == ("kaiten", "/cards", 2)
    assert parsed.options == {"status": 502, "p": 0.5}
    assert sb.faults.parse("A14:forget=1.0").options == {"forget": 1.0}
    assert len(KINDS) == 49
