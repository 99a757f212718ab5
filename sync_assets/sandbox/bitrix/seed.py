"""The shop on its first day: what it sells, who works there, who bought what.

The non-obvious decision: with `bitrix.orphans` exactly so many orders point at people or goods that no list shows, in
turns a buyer, a product that was deleted or is unlisted, and both; all others point at what can be read.
"""

import random
from collections.abc import Iterator
from datetime import datetime, timedelta

from sync_assets.sandbox import words
from sync_assets.sandbox.bitrix.company import GOODS, OFFERS, SITE, BitrixCompany
from sync_assets.sandbox.bitrix.php import number
from sync_assets.sandbox.clock import FOUNDED
from sync_assets.sandbox.dialect import Record

# Orders, products, buyers.
SIZES = {"tiny": (60, 70, 25), "demo": (500, 150, 180), "bench": (10_000, 600, 3000)}
HISTORY = 400 * 86_400
STAFF = 6
LINES = (1, 2, 3, 4, 5)
DOOMED = UNLISTED = 3
# The vendor's own, then those that this shop made up; no code has more than two letters.
STATUSES = {
    "N": "Принят", "P": "Оплачен", "S": "Отгружен", "D": "Отменён", "F": "Выполнен", "UN": "Не реализован",
    "AP": "Ожидает оплаты", "PD": "Оплата получена", "CO": "Подтверждён", "RD": "Готов", "RP": "Готовится",
    "DE": "У курьера", "RF": "Возврат", "CF": "Confirmed", "ER": "Ошибка", "TR": "Передан", "RO": "Повторный",
    "WA": "Ждёт", "GP": "Group", "AN": "Аноним", "CA": "Отказ", "KA": "KA", "KB": "KB", "KC": "KC", "KD": "KD",
    "AU": "Авто", "CP": "Скомплектован", "AR": "Архив", "RR": "Разбор",
}  # fmt: skip
DELIVERIES = {"DN": "Ожидает обработки", "DD": "Отменена", "DF": "Отгружена"}
GOODS_NAMES = ("Букет", "Розы", "Tulip box", "Пионы «Бархат»", "Композиция", "Moss ball", "Венок", "Орхидея 2/3")
CITIES = ("Алматы", "Астана", "Almaty", "Шымкент", "Қарағанды")


def found(company: BitrixCompany, size: str) -> None:
    orders, products, buyers = SIZES[size]
    orders = int(company.switches["bitrix.orders"] or orders)
    dice = company.dice
    _definitions(company)
    for n in range(STAFF):
        name, last = dice.choice(words.FIRST), dice.choice(words.LAST)
        company.create_user(
            name, last, ACTIVE=n != STAFF - 1, PERSONAL_MOBILE=f"7701000{n:04d}", WORK_POSITION="Флорист"
        )
    for n in range(buyers):
        name = f"{dice.choice(words.FIRST)} {dice.choice(words.LAST)}"
        company.create_buyer(name, f"buyer{n}@example.test", f"+7701{dice.randrange(10**7):07d}")
    _goods(company, products)
    _orders(company, orders)


def _definitions(company: BitrixCompany) -> None:
    tables, ids = company.tables, enumerate((*STATUSES, *DELIVERIES))
    for sort, code in ids:
        type = "O" if code in STATUSES else "D"
        tables["statuses"].add(id=code, type=type, sort=10 * (sort + 1), color="#BEEDF1" if sort % 2 else "")
        name = {**STATUSES, **DELIVERIES}[code]
        tables["status_langs"].add(statusId=code, lid="ru", name=name, description=f"{name} ({code})")
    for id, name in ((3, "Физическое лицо"), (4, "Юридическое лицо")):
        tables["person_types"].add(id=id, name=name, sort=str(100 + 10 * id))
    common: Record = {"lid": SITE, "vatId": 1}
    tables["catalogs"].add(id=GOODS, iblockId=GOODS, name="Товары", **common)
    tables["catalogs"].add(id=OFFERS, iblockId=OFFERS, name="Торговые предложения", **common)
    tables["catalogs"].change(OFFERS, productIblockId=GOODS, skuPropertyId=97)
    for n, name in enumerate(("Цветы", "Подарки", "Розы", "Сезон «Весна»", "Plants", "Услуги")):
        above = 30 + n % 2 if n > 1 else None
        tables["sections"].add(id=30 + n, iblockId=GOODS, name=name, code=f"s{n}", sort=100 * n, iblockSectionId=above)
        tables["sections"].change(30 + n, descriptionType="text", xmlId=f"section-{n}")


def _goods(company: BitrixCompany, count: int) -> None:
    dice = company.dice
    for n in range(count):
        made = company.stamp(FOUNDED - timedelta(seconds=HISTORY + dice.randrange(HISTORY)))
        offer = n % 5 == 4
        picture = {"id": str(6400 + n), "url": f"/rest/catalog.product.download?fields%5BfileId%5D={6400 + n}"}
        company.create_product(
            f"{dice.choice(GOODS_NAMES)} {n}",
            dice.choice((990, 4500, 12_500.5, 0)),
            OFFERS if offer else GOODS,
            dateCreate=made,
            timestampX=made,
            iblockSectionId=None if offer else dice.randint(30, 35),
            quantity=dice.randrange(100),
            active="N" if n % 11 == 10 else "Y",
            purchasingPrice=number(dice.randrange(900_000) / 100),
            purchasingCurrency="KZT",
            property258={"value": dice.choice(words.TAGS), "valueId": str(9735 + n)} if n % 2 else None,
            property259=[{"value": str(k), "valueId": str(20_000 + 3 * n + k)} for k in range(n % 3)] or None,
            detailPicture=picture | {"urlMachine": picture["url"]} if n % 3 == 0 else None,
            detailText=words.prose(dice) if n % 3 == 1 else None,
        )


def _moments(dice: random.Random, count: int) -> Iterator[datetime]:
    """Ids and dates of creation rise together."""
    for seconds in sorted((dice.randrange(HISTORY) for _ in range(count)), reverse=True):
        yield FOUNDED - timedelta(seconds=seconds + 86_400)


def _orders(company: BitrixCompany, count: int) -> None:
    dice, goods = company.dice, company.tables["products"].ids
    orphans = company.switches["bitrix.orphans"]
    doomed, hidden = (0, 0) if orphans == "0" else (DOOMED, UNLISTED)
    gone, unlisted, plain = goods[:doomed], goods[doomed : doomed + hidden], goods[doomed + hidden :]
    staff, buyers = sorted(company.users), sorted(company.buyers)
    lost = set(dice.sample(range(count), int(orphans))) if orphans else set()
    for n, at in enumerate(_moments(dice, count)):
        user, bought = dice.choice(buyers), [dice.choice(goods) for _ in range(LINES[n % len(LINES)])]
        if orphans:
            turn = n % 3 if n in lost else -1
            user = user if turn in (0, 2) else dice.choice(staff)
            bought = [dice.choice(plain) for _ in bought]
            if turn in (1, 2):
                bought[0] = dice.choice(gone if n % 2 else unlisted)
        items: list[Record] = [{"productId": id, "quantity": dice.choice((1, 1, 2, 0.5))} for id in bought]
        if n % 9 == 8:
            items[-1] = {"productId": 0, "name": "Сборка", "price": 1110}
        address = {"CITY": dice.choice(CITIES), "ADDRESS": f"ул. Абая {dice.randrange(200)}, кв. {n % 90}"}
        address["DELIVERY_DATE"] = f"{at + timedelta(days=2):%d.%m.%Y}"
        comment = words.prose(dice, 2) if n % 4 == 0 else ""
        id = company.create_order(user, items, at, address, userDescription=comment)
        _history(company, dice, id, at)
    for id in gone:
        company.delete_product(id)
    for id in unlisted:
        company.hide_product(id)


def _history(company: BitrixCompany, dice: random.Random, id: int, at: datetime) -> None:
    """How far the order has come; what is stamped is always before the founding."""
    step = timedelta(seconds=dice.randrange(60, 40_000))
    roll = dice.random()
    if roll < 0.12:
        company.update_order(id, at + step, canceled="Y", reasonCanceled="Передумал")
    elif roll < 0.85:
        company.pay_order(id, at + step)
        company.ship_order(id, tracking=f"KZ{dice.randrange(10**8)}", at=at + step)
        company.update_order(id, at + 2 * step, statusId=dice.choice(("F", "F", "DE", "CO", "RD")))
