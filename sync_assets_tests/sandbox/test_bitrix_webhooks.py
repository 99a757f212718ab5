"""Bitrix's two ways to tell: its own forms with a token inside, and the shop's handler that posts whole orders."""

import hashlib
import hmac
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sync_assets.sandbox.bitrix.company import BitrixCompany
from sync_assets.sandbox.server import Sandbox
from sync_assets_tests.sandbox.bitrix import Shop
from sync_assets_tests.sandbox.conftest import UNLIMITED
from sync_assets_tests.sandbox.receiver import Receiver

EXAMPLES = {
    "sale__events__on-sale-order-saved": "ONSALEORDERSAVED",
    "sale__events__on-order-entity-saved": "ONORDERENTITYSAVED",
    "sale__events__on-payment-entity-saved": "ONPAYMENTENTITYSAVED",
    "sale__events__on-sale-before-order-delete": "ONSALEBEFOREORDERDELETE",
    "sale__events__on-order-deleted": "ONORDERDELETED",
    "catalog__product__events__catalog-product-on-add": "CATALOG.PRODUCT.ON.ADD",
    "catalog__product__events__catalog-product-on-update": "CATALOG.PRODUCT.ON.UPDATE",
    "catalog__product__events__catalog-product-on-delete": "CATALOG.PRODUCT.ON.DELETE",
}


@pytest.fixture
def store(sb: Sandbox, receiver: Receiver) -> Iterator[BitrixCompany]:
    """A shop whose handler is listened to."""
    receiver.answer = (200, b'{"status":"success","action":"updated","order_id":1}')
    sb.webhooks.register("bitrix.shop", receiver.url, secret="shop secret")
    yield sb.world.bitrix


def live(company: BitrixCompany) -> int:
    order = company.create_order(items=[{"productId": company.tables["products"].ids[0]}])
    company.pay_order(order)
    company.ship_order(order)
    product = company.create_product("Роза", 990)
    company.update_product(product, name="Rose")
    company.delete_product(product)
    company.create_user("Анна")
    company.delete_order(order)
    return order


def test_a_form_has_the_documented_fields(shared: Path, sb: Sandbox, receiver: Receiver) -> None:
    secrets = {"application_token": "token-1", "member_id": "member-1"}
    sb.webhooks.register("bitrix", receiver.url, **secrets)
    live(sb.world.bitrix)
    sb.webhooks.settled()
    forms = {dict(one.form())["event"]: one.form() for one in receiver.arrived}
    for name, event in EXAMPLES.items():
        known = json.loads((shared / f"bitrix/{name}.json").read_text())["examples"][0]
        fields = [name for name, _ in forms[event]]
        expected = ["event", "event_handler_id", *(f"data[FIELDS][{f}]" for f in known["data"]["FIELDS"]), "ts"]
        assert fields[: len(expected)] == expected, event
        # A webhook is not an app: of its auth it has only who it is.
        assert fields[len(expected) :] == [
            f"auth[{n}]" for n in ("domain", "client_endpoint", "server_endpoint", "member_id", "application_token")
        ]
        form = dict(forms[event])
        assert (form["auth[application_token]"], form["auth[member_id]"]) == ("token-1", "member-1")
        action = known["data"]["FIELDS"].get("ACTION")
        assert form.get("data[FIELDS][ACTION]") == action
    others = {"ONSHIPMENTENTITYSAVED", "ONSHIPMENTDELETED", "ONPAYMENTDELETED", "ONUSERADD"}
    others |= {"ONPROPERTYVALUEENTITYSAVED", "ONPROPERTYVALUEDELETED"}
    assert forms.keys() == {*EXAMPLES.values(), *others}
    assert receiver.arrived[0].headers["content-type"] == "application/x-www-form-urlencoded"


def test_one_edit_is_told_once_and_nothing_beside_its_deletion(sb: Sandbox, shop: Shop) -> None:
    def told() -> list[tuple[str, str]]:
        new = [(c.name, c.key) for c in sb.webhooks.changes if c.system == "bitrix" and c.entity == "orders"]
        del sb.webhooks.changes[:]
        return new

    order = shop.company.tables["orders"].ids[0]
    saved = [("ONSALEORDERSAVED", str(order)), ("ONORDERENTITYSAVED", str(order))]
    shop.company.replace_items(order, [{"productId": 0, "name": "x"}, {"productId": 0, "name": "y"}])
    assert told() == saved
    shop.call("sale.order.update", id=order, fields={"comments": "ours"})
    assert told() == saved, "our own write comes back, too"
    shop.company.delete_order(order)
    assert told() == [("ONSALEBEFOREORDERDELETE", str(order)), ("ONORDERDELETED", str(order))]
    with shop.company.changing():
        shop.company.delete_order(shop.company.create_order(items=[]))
    assert told() == [], "what came and went within one edit was never there"


def test_a_form_is_sent_once_whatever_the_answer(sb: Sandbox, receiver: Receiver) -> None:
    sb.webhooks.speed = 1e6
    receiver.answer = (500, b"")
    sb.webhooks.register("bitrix", receiver.url, events=["ONSALEORDERSAVED"])
    sb.webhooks.burst("bitrix", 3, 3)
    sb.webhooks.settled()
    assert [d.status for d in sb.webhooks.deliveries] == [500, 500, 500]


# The shop's handler.


def test_an_order_is_posted_in_the_recorded_shape(
    shared: Path, sb: Sandbox, receiver: Receiver, store: BitrixCompany
) -> None:
    known = json.loads((shared / "bitrix/php_order_webhook_shape.json").read_text())
    order = store.create_order(items=[{"productId": store.tables["products"].ids[0], "quantity": 2}])
    store.pay_order(order)
    sb.webhooks.settled()
    letter = next(one for one in receiver.arrived if one.json()["event"] == "order.update")
    body, shape = letter.json(), known["body"]["data"]
    data: dict[str, Any] = body["data"]
    assert [*body] == ["event", "data"] and body["event"] in known["events"]
    assert [*data] == [*shape] and [*data["basket"][0]] == [*shape["basket"][0]]
    assert [*data["user"]] == [*shape["user"]] and isinstance(data["webhook_timestamp"], int)
    assert {type(data[name]) for name in data if name.isupper()} == {str, type(None)}
    for name, value in shape.items():
        pattern = {r"\d+\.\d{4}": r"\d+\.\d{4}", r"\d\d\.\d\d\.\d{4} .*": r"\d\d\.\d\d\.\d{4} \d\d:\d\d:\d\d"}
        for seen, wanted in pattern.items():
            if isinstance(value, str) and re.fullmatch(seen, value):
                assert re.fullmatch(wanted, data[name]), name
    assert (data["ID"], data["PAYED"], data["SUM_PAID"]) == (str(order), "Y", data["PRICE"])
    assert letter.headers["user-agent"] == known["request"]["headers"]["User-Agent"]


def test_proof_is_an_hmac_over_stamp_and_body(sb: Sandbox, receiver: Receiver, store: BitrixCompany) -> None:
    sb.webhooks.burst("bitrix", 1, 1)
    sb.webhooks.settled()
    (one,) = receiver.arrived
    stamp, given = one.headers["x-sync-timestamp"], one.headers["x-sync-signature"]
    mac = hmac.new(b"shop secret", stamp.encode() + b"." + one.body, hashlib.sha256).hexdigest()
    assert given == f"sha256={mac}" and "token" not in one.json()


def test_proof_may_be_a_token_inside_the_body(sb: Sandbox, receiver: Receiver) -> None:
    sb.webhooks.register("bitrix.shop", receiver.url, token="old token")
    sb.webhooks.burst("bitrix", 1, 1)
    sb.webhooks.settled()
    assert [*receiver.arrived[0].json()] == ["event", "token", "data"]
    assert receiver.arrived[0].json()["token"] == "old token"
    assert "x-sync-signature" not in receiver.arrived[0].headers


def test_each_edit_has_its_event(sb: Sandbox, store: BitrixCompany) -> None:
    def told() -> list[str]:
        new = [c.name for c in sb.webhooks.changes if c.system == "bitrix.shop"]
        del sb.webhooks.changes[:]
        return new

    order = store.create_order(items=[])
    assert told() == ["order.create"]
    store.set_status(order, "F")
    assert told() == ["order.status_change", "order.update"]
    store.update_order(order, userDescription="x")
    assert told() == ["order.update"]
    store.delete_order(order)
    assert told() == [], "the handler says nothing of a deletion"
    product = store.create_product("Роза")
    store.update_product(product, name="Rose")
    store.delete_product(product)
    assert told() == ["product.create", "product.update", "product.delete"]


def test_what_does_not_answer_success_is_posted_three_times(
    sb: Sandbox, receiver: Receiver, store: BitrixCompany
) -> None:
    receiver.answer = (200, b'{"status":"ok"}')
    vendor = sb.webhooks.vendor("bitrix.shop")
    assert [vendor.waits(attempt, 200) for attempt in range(3)] == [2, 4, None]
    sb.webhooks.speed = 1e6
    sb.webhooks.burst("bitrix", 1, 1)
    sb.webhooks.settled()
    assert [(d.attempt, d.ok) for d in sb.webhooks.deliveries] == [(0, False), (1, False), (2, False)]


def test_a_buyer_may_carry_hashes_that_nobody_must_keep(receiver: Receiver) -> None:
    switches = {"bitrix.hook_user": "all", "bitrix.hook_stamp": "iso"}
    with Sandbox(rates=UNLIMITED, switches=switches) as sb:
        sb.webhooks.register("bitrix.shop", receiver.url, secret="s")
        sb.webhooks.burst("bitrix", 1, 1)
        sb.webhooks.settled()
    data = receiver.arrived[0].json()["data"]
    assert "canary-b24" in data["user"]["PASSWORD"] and data["webhook_timestamp"].count(":") == 3
