"""The shop's handlers, run by PHP: what changes on a page is posted once, signed, and without what must not leave."""

import json
import re
import shutil
import socket
import subprocess
import time
import urllib.request
from contextlib import closing

import pytest

from sync_assets_tests.integrations.conftest import CHECK, HASH
from sync_assets_tests.integrations.site import PACKAGE, Posted, Site

SAVED, STATUS, DELETED = "OnSaleOrderSaved", "OnSaleStatusOrderChange", "OnSaleOrderDeleted"
AFTER_8 = re.compile(
    r"\bstr_(contains|starts_with|ends_with)\b|\bmatch \(|\?->|\breadonly\b|\benum \w|: (mixed|never|static)\b"
)


@pytest.mark.skipif(shutil.which("php") is None, reason="php is not installed: apt-get install php-cli")
def test_every_file_is_php_and_says_nothing_that_php_7_4_does_not_know() -> None:
    files = sorted(PACKAGE.rglob("*.php"))
    assert len(files) > 10
    for file in files:
        done = subprocess.run(["php", "-n", "-l", str(file)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout
        code = re.sub(r"/\*\*.*?\*/|//[^\n]*", "", file.read_text(), flags=re.DOTALL)
        assert not AFTER_8.search(code), file.name
        assert not re.search(r"function __construct\([^)]*\b(public|private|protected)\b", code), file.name
        assert max(map(len, file.read_text().splitlines())) <= 120, file.name


def test_an_order_that_is_saved_is_posted_signed_with_its_buyer(site: Site, receiver: Posted) -> None:
    assert site.hit(("sale", SAVED, {"ENTITY": 122001, "IS_NEW": True})) == "page"
    order, user = receiver.events
    assert (order.name, order.entity, order.key, order.problem) == ("order.create", "orders", "122001", "")
    assert order.at is not None and order.unique
    assert json.loads(order.payload)["data"]["DATE_UPDATE"] == "2025-08-25T12:00:00+05:00"
    assert json.loads(user.record) == {
        "ID": "171001", "ACTIVE": True, "NAME": "Buyer", "EMAIL": "buyer@example.test",
        "PERSONAL_PHONE": "+70000000001", "DATE_REGISTER": "2025-02-01T05:20:30+00:00",
    }  # fmt: skip
    assert site.queue == [] and site.log == ""


def test_nothing_leaves_that_is_not_named(site: Site, receiver: Posted) -> None:
    typed = {"ID": "171001", "PASSWORD": HASH, "CONFIRM_PASSWORD": HASH, "RESULT": True}
    site.hit(("sale", SAVED, {"ENTITY": 122001}), ("main", "OnAfterUserUpdate", typed))
    site.php("export.php", "users")
    assert len(receiver.bodies) == 2
    for body in receiver.bodies:
        assert json.loads(body)
        for word in (HASH, CHECK, "PASSWORD", "CHECKWORD", "LOGIN", "card 4111", "wish", '"token"', "BARCODE"):
            assert word.encode() not in body


def test_what_changes_often_on_one_page_is_posted_once_by_its_telling_name(site: Site, receiver: Posted) -> None:
    saved = ("sale", SAVED, {"ENTITY": 122001})
    site.hit(saved, ("sale", STATUS, {"ENTITY": 122001, "VALUE": "P", "OLD_VALUE": "N"}), saved, saved)
    assert receiver.told() == [("order.status_change", "122001")] and len(receiver.bodies) == 1


def test_goods_of_our_blocks_alone_and_only_what_was_done(site: Site, receiver: Posted) -> None:
    def element(id: int, iblock: int, **more: object) -> dict[str, object]:
        return {"ID": id, "IBLOCK_ID": iblock, **more}

    site.hit(
        ("iblock", "OnAfterIBlockElementUpdate", element(501, 2, RESULT=True)),
        ("iblock", "OnAfterIBlockElementAdd", element(503, 99, RESULT=True)),
        ("iblock", "OnAfterIBlockElementUpdate", element(502, 27, RESULT=False)),
        ("iblock", "OnAfterIBlockElementDelete", element(777, 27)),
        ("iblock", "OnAfterIBlockElementDelete", element(502, 27)),
    )
    assert receiver.told() == [("product.update", "501"), ("product.delete", "777"), ("product.update", "502")]
    product, price, gone, living = receiver.events
    assert json.loads(product.record) == {
        "id": 501, "iblockId": 2, "name": "Bouquet 501", "active": "Y", "timestampX": "2025-08-25T07:00:00+00:00",
        "dateActiveFrom": None, "dateActiveTo": None, "type": 1, "quantity": "10.5", "purchasingPrice": "100.00",
        "property258": {"value": "red", "valueId": "9735"},
        "property259": [{"value": "S", "valueId": "9736"}, {"value": "M", "valueId": "9737"}],
    }  # fmt: skip
    assert (price.entity, price.key, gone.record, living.key) == ("prices", "31", b"null", "502")


def test_what_is_gone_when_it_is_posted_is_told_as_deleted(site: Site, receiver: Posted) -> None:
    site.hit(
        ("sale", SAVED, {"ENTITY": 404}),
        ("sale", DELETED, {"ENTITY": 405, "VALUE": True}),
        ("sale", DELETED, {"ENTITY": 122001, "VALUE": False}),
        ("main", "OnAfterUserDelete", 9),
    )
    assert receiver.told() == [("order.delete", "404"), ("order.delete", "405"), ("user.delete", "9")]


@pytest.mark.parametrize("broken", ["no secret", "no file", "http"])
def test_a_page_goes_on_whatever_is_wrong_with_us(site: Site, receiver: Posted, broken: str) -> None:
    match broken:
        case "no secret":
            site.configure(url=receiver.url, secret="short")
        case "no file":
            (site.package / "config.php").unlink()
        case "http":
            site.configure(url="http://hooks.example.test/webhooks/bitrix/shop")
    happened = [
        ("sale", SAVED, {"ENTITY": 122001}),
        ("iblock", "OnAfterIBlockElementUpdate", {"ID": 501, "IBLOCK_ID": 2}),
    ]
    assert site.hit(*happened) == "page"
    assert "sync_assets: RuntimeException in Config.php" in site.log and not receiver.bodies


def test_a_page_that_cannot_be_handed_over_first_leaves_it_to_cron(site: Site, receiver: Posted) -> None:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    site.page()
    hit = json.dumps([("sale", SAVED, {"ENTITY": 122001})])
    server = subprocess.Popen(
        ["php", "-S", f"127.0.0.1:{port}", "-t", str(site.root)],
        env=site.env(HIT=hit), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        for _ in range(500):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/index.php", timeout=5) as answer:
                    assert answer.read() == b"page"
                break
            except ConnectionError:
                time.sleep(0.01)
            except OSError as e:
                if not isinstance(getattr(e, "reason", None), ConnectionError):
                    raise
                time.sleep(0.01)
    finally:
        server.terminate()
        server.wait(10)
    assert [(q["kind"], q["id"]) for q in site.queue] == [("order", 122001)] and not receiver.bodies
    assert site.php("cron.php") == "1 sent, 0 waiting\n"
    assert receiver.told() == [("order.update", "122001")]
