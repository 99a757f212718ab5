"""Bitrix's batch: fifty commands, maps and lists, references to earlier results, and errors that come one by one."""

import json
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from sync_assets.sandbox.server import Sandbox
from sync_assets_tests.sandbox.bitrix import Shop
from sync_assets_tests.sandbox.conftest import UNLIMITED


def batch(shop: Shop, commands: Any, **more: Any) -> Any:
    answer = shop.http.post("batch", json={"cmd": commands, **more})
    assert answer.status_code == 200
    return answer.json()["result"]


def test_a_map_of_commands_answers_as_a_map_and_a_list_as_a_list(shop: Shop) -> None:
    said = batch(shop, {"o": "sale.order.list?select[]=id", "s": "server.time"})
    assert list(said) == ["result", "result_error", "result_total", "result_next", "result_time"]
    assert said["result"].keys() == said["result_time"].keys() == {"o", "s"}
    assert (said["result_total"], said["result_next"]) == ({"o": 60}, {"o": 50})
    assert said["result_error"] == [], "an empty map is a list"
    assert "operating" in said["result_time"]["s"]
    several = batch(shop, ["scope", "sale.status.list", "nonsense", "profile"])
    assert isinstance(several["result"], dict) and several["result"].keys() == {"0", "1", "3"}
    assert several["result_error"] == {
        "2": {"error": "ERROR_METHOD_NOT_FOUND", "error_description": "Method not found!"}
    }  # fmt: skip
    assert batch(shop, ["nonsense"])["result"] == [] and isinstance(batch(shop, ["nonsense"])["result_error"], list)
    assert batch(shop, {})["result"] == []


def test_commands_come_as_a_form_too(shop: Shop) -> None:
    commands = {"cmd[a]": f"sale.order.list?{quote('filter[>id]')}=5058&select[]=id", "cmd[b]": "scope", "halt": "0"}
    assert shop.http.post("batch", data=commands).json()["result"]["result"]["a"] == {"orders": [{"id": 5059}]}
    assert shop.http.get(f"batch.json?{urlencode(commands)}").json()["result"]["result_total"] == {"a": 1}


def test_a_command_uses_what_an_earlier_one_found(shop: Shop) -> None:
    commands = {
        "first": "sale.order.list?order[id]=asc&start=-1",
        "second": f"sale.order.list?{quote('filter[>id]')}=$result[first][orders][49][id]&start=-1&select[]=id",
        "items": "sale.basketitem.list?filter[orderId]=$result[second][orders][0][id]",
        "text": "user.search?FIND=$result[first][orders][0][lid]x",
    }
    said = batch(shop, commands, halt=0)["result"]
    ids = [row["id"] for row in shop.truth("orders")]
    assert [row["id"] for row in said["second"]["orders"]] == ids[50:]
    assert {row["orderId"] for row in said["items"]["basketItems"]} == {ids[50]}
    lost = {"a": "sale.order.list?filter[%3Eid]=$result[nowhere][orders][49][id]&start=-1"}
    assert len(batch(shop, lost)["result"]["a"]["orders"]) == 50, "an empty text is the number 0"


def test_a_path_that_leads_nowhere_can_give_what_it_reached() -> None:
    with Sandbox(rates=UNLIMITED, switches={"bitrix.unresolved": "reached"}) as sb, Shop(sb) as shop:
        lost = {"a": "scope", "b": "sale.order.list?filter[id]=$result[a][9]&select[]=id"}
        assert batch(shop, lost)["result"]["b"] == {"orders": []}


@pytest.mark.parametrize(("halt", "reached"), [(0, {"a", "c"}), (1, {"a"}), ("0", {"a", "c"}), (True, {"a"})])
def test_halt_ends_a_batch_at_its_first_error(shop: Shop, halt: Any, reached: set[str]) -> None:
    said = batch(shop, {"a": "scope", "b": "sale.order.get?id=1", "c": "scope"}, halt=halt)
    assert said["result"].keys() == reached and list(said["result_error"]) == ["b"]
    assert said["result_error"]["b"]["error"] == 200540400001


def test_no_more_than_fifty_and_none_within_another(shop: Shop) -> None:
    said = batch(shop, {f"c{n}": "scope" for n in range(52)} | {"c3": "batch?cmd[a]=scope"})
    assert len(said["result"]) == 49 and said["result_error"]["c3"]["error"] == "ERROR_BATCH_METHOD_NOT_ALLOWED"
    assert {said["result_error"][key]["error"] for key in ("c50", "c51")} == {"ERROR_BATCH_LENGTH_EXCEEDED"}
    with Sandbox(rates=UNLIMITED, switches={"bitrix.batch_length": "400"}) as sb, Shop(sb) as other:
        refused = other.http.post("batch", json={"cmd": ["scope"] * 51})
        assert (refused.status_code, refused.json()["error"]) == (400, "ERROR_BATCH_LENGTH_EXCEEDED")


def test_a_scope_that_is_missing_fails_its_commands_alone(shop: Shop) -> None:
    shop.company.scopes.discard("user")
    said = batch(shop, {"u": "user.get", "s": "sale.status.list"})
    assert said["result_error"]["u"]["error"] == "insufficient_scope" and "statuses" in said["result"]["s"]


@pytest.mark.parametrize(
    ("code", "expected"),
    [(None, "INTERNAL_SERVER_ERROR"), ("QUERY_LIMIT_EXCEEDED",) * 2, ("OPERATION_TIME_LIMIT",) * 2],
)
def test_p11_fails_half_of_a_batch_once(shop: Shop, code: str | None, expected: str) -> None:
    commands = {f"c{n}": f"sale.order.get?id={5000 + n}" for n in range(10)}
    shop.sandbox.faults.set("P11", system="bitrix", times=1, **({"code": code} if code else {}))
    said = batch(shop, commands)
    failed = said["result_error"]
    assert failed.keys() == {"c1", "c3", "c5", "c7", "c9"} and said["result"].keys() == commands.keys() - failed.keys()
    assert {error["error"] for error in failed.values()} == {expected}
    again = batch(shop, {key: commands[key] for key in failed})
    assert again["result"].keys() == failed.keys() and again["result_error"] == []
    shop.sandbox.faults.set("P11", share=0.1)
    assert list(batch(shop, commands)["result_error"]) == ["c9"]


def test_faults_of_records_strike_inside_a_batch(shop: Shop) -> None:
    faults = shop.sandbox.faults
    commands = {"t": "server.time", "o": "sale.order.list?select[]=id&select[]=comments", "p": "sale.payment.list"}
    honest = batch(shop, commands)
    faults.set("V7", path="batch", variant="null", record=5003)
    damaged = batch(shop, commands)["result"]["o"]["orders"]
    assert damaged[3]["id"] is None and damaged[:3] == honest["result"]["o"]["orders"][:3]
    faults.clear()
    faults.set("A8", path="batch", variant="object")
    assert batch(shop, commands)["result"]["o"]["orders"] == {"message": "see attachment"}
    faults.clear()
    faults.set("A14", path="batch", forget=1.0)
    assert batch(shop, commands)["result"]["o"] == {"orders": []}


def test_a_batch_is_aimed_at_by_its_commands(shop: Shop) -> None:
    fault = shop.sandbox.faults.set("A3", path=r"sale\.payment\.list", status=502)
    assert batch(shop, {"o": "sale.order.list"})["result_error"] == [] and fault.strikes == 0
    answer = shop.http.post("batch", json={"cmd": {"o": "sale.order.list", "p": "sale.payment.list"}})
    assert answer.status_code == 502
    assert [json.loads(entry.body)["cmd"].get("p") for entry in shop.sandbox.requests] == [None, "sale.payment.list"]
