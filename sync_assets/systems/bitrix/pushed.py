"""People and goods as a shop sends them, in the spelling that the API has for them; what is not named here is dropped.

A row of CUser::GetList holds the password's hash and the checkword whatever fields it was asked for. So a record is
built from the named parts, never cleaned of the others.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo
from typing import Any

from sync_assets.entity import Whole
from sync_assets.systems.bitrix.numbered import ALLOWED

PERSON = ALLOWED | {"PERSONAL_PHONE"}
"""A buyer's only phone is mostly this one."""

PUSHED_PERSON = Whole("shop", shape="shop", at="pushed", omits=tuple(sorted(PERSON - {"ID"})))
"""An order names but a few parts of its buyer; what an export told of the others stays."""
PUSHED_PRODUCT = Whole("shop", shape="shop", at="pushed")

MOMENTS = frozenset(("TIMESTAMP_X", "DATE_CREATE", "DATE_ACTIVE_FROM", "DATE_ACTIVE_TO", "DATE_REGISTER"))
NUMBERS = frozenset(
    (
        *("ID", "IBLOCK_ID", "IBLOCK_SECTION_ID", "SORT", "TYPE", "CREATED_BY", "MODIFIED_BY", "MEASURE", "VAT_ID"),
        *("QUANTITY", "QUANTITY_RESERVED", "WEIGHT", "WIDTH", "LENGTH", "HEIGHT"),
    )
)
PRODUCT = frozenset(
    (
        *NUMBERS,
        *(MOMENTS - {"DATE_REGISTER"}),
        *("NAME", "CODE", "XML_ID", "ACTIVE", "AVAILABLE", "BUNDLE", "CAN_BUY_ZERO", "QUANTITY_TRACE", "SUBSCRIBE"),
        *("PURCHASING_PRICE", "PURCHASING_CURRENCY", "VAT_INCLUDED"),
        *("PREVIEW_TEXT", "PREVIEW_TEXT_TYPE", "DETAIL_TEXT", "DETAIL_TEXT_TYPE"),
    )
)

WHOLE = re.compile(r"-?(0|[1-9][0-9]{0,14})(\.0+)?")
DATES = (
    (re.compile(r"\d\d\.\d\d\.\d{4}"), "%d.%m.%Y"),
    (re.compile(r"\d\d\.\d\d\.\d{4} \d\d:\d\d"), "%d.%m.%Y %H:%M"),
    (re.compile(r"\d\d\.\d\d\.\d{4} \d\d:\d\d:\d\d"), "%d.%m.%Y %H:%M:%S"),
    (re.compile(r"\d{4}-\d\d-\d\d"), "%Y-%m-%d"),
    (re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"), "%Y-%m-%d %H:%M:%S"),
)
"""How a shop writes a date: as its site does, or as its database. Neither tells the zone."""

NO_DATE = re.compile(r"[0 .:-]*")

Row = Mapping[str, Any]


def key_of(row: Row, name: str = "ID") -> str:
    """An id as text, "" where there is none."""
    value = str(row.get(name) or "")
    return str(int(value)) if re.fullmatch(r"0*[1-9][0-9]*", value) and len(value) <= 18 else ""


def person(row: Row, zone: tzinfo | None) -> bytes:
    """A user as user.get shows one, of the named parts; `zone` is that of dates which tell none."""
    found = {name: _plain(value) for name, value in row.items() if name in PERSON and _is_plain(value)}
    found |= {name: _dated(value, zone) for name, value in found.items() if name in MOMENTS}
    if found.get("ACTIVE") in ("Y", "N"):
        found["ACTIVE"] = found["ACTIVE"] == "Y"
    return _spelled({**found, "ID": key_of(row)})


def product(row: Row, zone: tzinfo | None) -> bytes:
    """A product as catalog.product.list shows one, with the properties whose number the shop tells."""
    found = {name: value for name, value in row.items() if name in PRODUCT and not isinstance(value, dict | list)}
    found |= {name: _dated(value, zone) for name, value in found.items() if name in MOMENTS}
    found |= {name: _number(value) for name, value in found.items() if name in NUMBERS}
    properties = row.get("PROPERTIES")
    for told in properties.values() if isinstance(properties, dict) else ():
        if isinstance(told, dict) and (number := key_of(told)):
            found[f"PROPERTY{number}"] = _property(told)
    return _spelled({_camel(name): value for name, value in found.items()})


def moment(value: object, zone: tzinfo | None) -> datetime | None:
    """What a shop's date means: seconds since 1970, ISO 8601 or local time of `zone`. None where that is no moment."""
    text = str(value).strip() if isinstance(value, str | int | float) else ""
    try:
        if re.fullmatch(r"\d{9,11}(\.\d{1,9})?", text):
            return datetime.fromtimestamp(float(text), UTC)
        read = next((datetime.strptime(text, form) for shape, form in DATES if shape.fullmatch(text)), None)  # noqa: DTZ007  its zone is given below
        read = read or datetime.fromisoformat(text)
        read = read if read.tzinfo else read.replace(tzinfo=zone)
        return read.astimezone(UTC) if read.tzinfo else None
    except (ValueError, OverflowError, OSError):
        return None


def _dated(value: object, zone: tzinfo | None) -> object:
    """A date in the API's spelling, nothing where its zone is not known, and what is none as it came."""
    if found := moment(value, zone):
        return found.isoformat(timespec="seconds")
    return None if moment(value, UTC) or NO_DATE.fullmatch(str(value)) else value


def _number(value: object) -> object:
    return int(float(str(value))) if WHOLE.fullmatch(str(value)) else value


def _property(told: Row) -> object:
    values, ids = told.get("VALUE"), told.get("PROPERTY_VALUE_ID")
    if not isinstance(values, list):
        return {"value": values, "valueId": ids}
    numbered = ids if isinstance(ids, list) and len(ids) == len(values) else [None] * len(values)
    return [{"value": value, "valueId": id} for value, id in zip(values, numbered, strict=True)]


def _camel(name: str) -> str:
    first, *rest = name.lower().split("_")
    return first + "".join(part.capitalize() for part in rest)


def _is_plain(value: object) -> bool:
    """What is named is a value: a whole row inside it would bring its other parts along."""
    if isinstance(value, list):
        return not any(isinstance(part, dict | list) for part in value)
    return not isinstance(value, dict)


def _plain(value: object) -> object:
    return value if isinstance(value, list | bool) or value is None else str(value)


def _spelled(record: Row) -> bytes:
    return json.dumps(record, separators=(",", ":")).encode()
