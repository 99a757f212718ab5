"""The shop of these tests: an order with its buyer, two goods of ours and an element that is none of our business."""

import shutil
from collections.abc import Iterator

import pytest

from sync_assets_tests.integrations.site import Posted, Site
from sync_assets_tests.sandbox.receiver import Receiver

HASH, CHECK = "$6$canary-b24-hash", "canary-b24-checkword"
USER = {
    "ID": "171001", "LOGIN": "buyer", "PASSWORD": HASH, "CHECKWORD": CHECK, "ACTIVE": "Y", "NAME": "Buyer",
    "EMAIL": "buyer@example.test", "PERSONAL_PHONE": "+70000000001", "DATE_REGISTER": "2025-02-01 10:20:30",
    "CONFIRM_CODE": CHECK, "STORED_HASH": HASH,
}  # fmt: skip
ORDER = {
    "ID": "122001", "LID": "s1", "STATUS_ID": "N", "USER_ID": "171001", "PRICE": "9000.0000", "COMMENTS": "wish",
    "DATE_UPDATE": "2025-08-25 12:00:00", "PS_STATUS_MESSAGE": "card 4111",
}  # fmt: skip
GOODS = [
    {"ID": str(id), "IBLOCK_ID": iblock, "NAME": f"Bouquet {id}", "ACTIVE": "Y", "TIMESTAMP_X": "2025-08-25 12:00:00"}
    for id, iblock in ((501, "2"), (502, "27"), (503, "99"))
]


@pytest.fixture
def receiver() -> Iterator[Posted]:
    with Receiver() as server:
        receiver = Posted(server.url)
        server.answer = receiver.take
        yield receiver


@pytest.fixture
def site(tmp_path_factory: pytest.TempPathFactory, receiver: Posted) -> Site:
    if shutil.which("php") is None:
        pytest.skip("php is not installed: apt-get install php-cli")
    # Not in the test's own folder, in which nothing may be found of our secrets: the shop has them.
    site = Site(tmp_path_factory.mktemp("site"), receiver.url)
    site.shop = {
        "orders": [ORDER],
        "users": [USER],
        "elements": GOODS,
        "goods": [{"ID": "501", "TYPE": 1, "QUANTITY": 10.5, "PURCHASING_PRICE": "100.00", "BARCODE": "x"}],
        "prices": [{"ID": "31", "PRODUCT_ID": "501", "CATALOG_GROUP_ID": "1", "PRICE": "7500.00", "CURRENCY": "KZT"}],
        "properties": {
            "501": [
                {"ID": "258", "CODE": "COLOR", "VALUE": "red", "PROPERTY_VALUE_ID": "9735", "MULTIPLE": "N"},
                {"ID": "259", "CODE": "SIZE", "VALUE": "S", "PROPERTY_VALUE_ID": "9736", "MULTIPLE": "Y"},
                {"ID": "259", "CODE": "SIZE", "VALUE": "M", "PROPERTY_VALUE_ID": "9737", "MULTIPLE": "Y"},
            ]
        },
    }
    return site
