"""user.get and its kin: an older dialect than the shop's, in capitals, with numbers as texts and booleans as booleans.

The non-obvious decision: a row can carry a password hash and a checkword that no mirror may keep. They are
recognisable (`CANARY`), on the wire only and never in the truth, so whoever stores a row as it came is found out.
"""

from typing import TYPE_CHECKING, Any

from sync_assets.sandbox.bitrix import php
from sync_assets.sandbox.bitrix.results import Call, Outcome, page, value
from sync_assets.sandbox.dialect import Record, encode

if TYPE_CHECKING:
    from sync_assets.sandbox.bitrix.api import Bitrix

CANARY = "canary-b24"


def _on_the_wire(api: "Bitrix", row: Record) -> Record:
    """What user.get adds to what is true: stamps in any of three spellings, and secrets."""
    stamps: dict[str, Record] = {
        "object": {"TIMESTAMP_X": {}, "LAST_ACTIVITY_DATE": {}},
        "site": {"TIMESTAMP_X": "24.08.2023 13:19:39", "LAST_ACTIVITY_DATE": "2024-08-29 10:30:11"},
        "absent": {},
    }
    shown = row | stamps[api.switches["bitrix.user_stamps"]]
    if api.switches["bitrix.user_secrets"] == "yes":
        secret = f"{CANARY}-{row['ID']}"
        shown |= {"PASSWORD": f"$6${secret}-password", "CHECKWORD": f"{secret}-checkword"}
    return shown


def _listed(api: "Bitrix", call: Call, found: list[Record]) -> Outcome:
    shown = [row for row in found if call.sees(int(row["ID"]))]
    rows = {int(row["ID"]): row for row in shown}
    chosen, total, following = page(call, list(rows))
    api.last = "users"
    return Outcome([encode(_on_the_wire(api, rows[id])) for id in chosen], b"[", b"]", total, following)


def _given(call: Call) -> Record:
    """Here the names of parameters are of any case."""
    return {name.upper(): given for name, given in call.given.items()}


def _like(row: Record, name: str, wanted: Any) -> bool:
    if isinstance(row[name], bool):
        return row[name] is (php.truthy(wanted) and wanted != "N" and wanted != "false")
    among = [str(one) for one in php.values(wanted)]
    return any(str(one) in among for one in php.values(row[name]))


def user_get(api: "Bitrix", call: Call) -> Outcome:
    given = _given(call)
    filters = {name.lstrip("=@").upper(): wanted for name, wanted in php.pairs(given.get("FILTER")).items()}
    filters |= {name: given[name] for name in ("ID",) if name in given}
    found = [
        row
        for _, row in sorted(api.company.people().items())
        if all(_like(row, name, wanted) for name, wanted in filters.items() if name in row)
    ]
    if str(given.get("ORDER", "")).upper() == "DESC":
        found.reverse()
    return _listed(api, call, found)


def user_search(api: "Bitrix", call: Call) -> Outcome:
    given = _given(call)
    filters = {name.upper(): str(one).casefold() for name, one in php.pairs(given.get("FILTER")).items()}
    if "FIND" in given:
        filters["FIND"] = str(given["FIND"]).casefold()

    def wanted(row: Record) -> bool:
        text = {**row, "FIND": f"{row['NAME']} {row['LAST_NAME']} {row['WORK_POSITION']}"}
        return all(one in str(text[name]).casefold() for name, one in filters.items() if name in text)

    return _listed(api, call, [row for _, row in sorted(api.company.people().items()) if wanted(row)])


def user_current(api: "Bitrix", _call: Call) -> Outcome:
    return value(_on_the_wire(api, api.company.users[min(api.company.users)]))


def user_fields(api: "Bitrix", _call: Call) -> Outcome:
    names = api.company.users[min(api.company.users)]
    return value({name: name for name in names})
