"""Which contact each call belongs to, and what says so.

Promise: one row per call, whatever the order of the rows that came in; a contact is named only if it is there today,
by the strongest evidence there is: an association, then the callee, then the number at the other end of the line. The
non-obvious decision: evidence that names several contacts names none, and weaker evidence may only pick one of them,
never go past them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from sync_assets.errors import FixConfig

if TYPE_CHECKING:
    import pandas as pd

ASSOCIATION, CALLEE, PHONE, UNRESOLVED = HOW = ("association", "callee", "phone", "unresolved")

CONTACT_TYPES = ("CONTACT", "0-1")

# Why a call is unresolved.
NO_DIRECTION = "the direction is not known"
NO_NUMBER = "no number"
NOT_A_NUMBER = "not a phone number"
NOBODY = "nobody has this number"
SHARED = "several contacts share this number"
SEVERAL = "associated with several contacts"
# How one of several associated contacts was picked; any other resolved call has no reason but its `how`.
PICKED_BY_CALLEE = "several associated, one was the callee"
PICKED_BY_PHONE = "several associated, one has this number"
REASONS = (NO_DIRECTION, NO_NUMBER, NOT_A_NUMBER, NOBODY, SHARED, SEVERAL, PICKED_BY_CALLEE, PICKED_BY_PHONE)


def resolve(
    calls: pd.DataFrame, contacts: pd.DataFrame, links: pd.DataFrame, aliases: pd.DataFrame, *, region: str
) -> pd.DataFrame:
    """call_id, contact_id, how, reason and number (E.164 of the external party) of every call, by call_id.

    `links` are associations of calls with contacts, `aliases` say which id a merged-away contact has today, and
    `region` is the country of numbers that are written without a country code.
    """
    import pandas as pd

    calls = calls.assign(id=calls["id"].astype("int64")).set_index("id").sort_index()
    outside = _outside(calls)
    said = outside.dropna().unique()
    e164 = _e164(said, region)
    number = outside.map(e164).astype("string")
    written = pd.concat([contacts["phone"], contacts["mobile_phone"]]).dropna()
    e164 |= _e164(written[~written.isin(said)].unique(), region, among=set(e164.values()))
    lines = _lines(contacts, aliases, e164)
    owners = lines.drop_duplicates("number", keep=False).set_index("number")["contact_id"]

    callee = _today(calls["callee_id"], contacts, aliases)
    callee = callee.where(calls["callee_type"].astype("string").str.upper().isin(CONTACT_TYPES))
    linked = pd.DataFrame({
        "call_id": links["call_id"].astype("int64").array,
        "contact_id": _today(links["contact_id"], contacts, aliases).array,
    }).dropna().drop_duplicates()  # fmt: skip
    single = linked.drop_duplicates("call_id", keep=False)
    several = linked[linked.duplicated("call_id", keep=False)]
    undecided = calls.index.isin(several["call_id"])
    called = several[several["contact_id"] == several["call_id"].map(callee).astype("Int64")]
    with_number = several.assign(number=several["call_id"].map(number).astype("string")).merge(lines)
    with_number = with_number.drop_duplicates("call_id", keep=False)

    evidence = (
        (_of_calls(single, calls), ASSOCIATION, None),
        (_of_calls(called, calls), ASSOCIATION, PICKED_BY_CALLEE),
        (_of_calls(with_number, calls), ASSOCIATION, PICKED_BY_PHONE),
        (callee.mask(undecided), CALLEE, None),
        (number.map(owners).astype("Int64").mask(undecided), PHONE, None),
    )
    obstacles = (
        (undecided, SEVERAL),
        (~_known(calls), NO_DIRECTION),
        (outside.str.strip().fillna("") == "", NO_NUMBER),
        (number.isna(), NOT_A_NUMBER),
        (number.isin(lines["number"]), SHARED),
    )
    found = pd.DataFrame({"contact_id": pd.array([None] * len(calls), "Int64")}, calls.index)
    found["how"], found["reason"] = UNRESOLVED, NOBODY
    # The first that applies wins, so it is written last.
    for applies, reason in reversed(obstacles):
        found.loc[applies, "reason"] = reason
    found = found.astype({"how": "object", "reason": "object"})
    for contact, how, picked in reversed(evidence):
        named = contact.notna()
        found.loc[named, "contact_id"] = contact[named]
        found.loc[named, "how"] = how
        found.loc[named, "reason"] = picked
    found["number"] = number.astype("object").where(number.notna(), None)
    return found.rename_axis("call_id").reset_index()


def _known(calls: pd.DataFrame) -> pd.Series:
    return calls["direction"].astype("string").str.upper().isin(["INBOUND", "OUTBOUND"])


def _outside(calls: pd.DataFrame) -> pd.Series:
    """What was written as the external party's number; the other end is one of the company's own lines."""
    outbound = calls["direction"].astype("string").str.upper() == "OUTBOUND"
    to, sender = calls["to_number"].astype("string"), calls["from_number"].astype("string")
    return to.where(outbound.fillna(False), sender).where(_known(calls))


def _today(ids: pd.Series, contacts: pd.DataFrame, aliases: pd.DataFrame) -> pd.Series:
    """These contacts under the ids that they have today; null where there is no such contact (any more)."""
    ids = ids.astype("Int64")
    # Int64, as a map into int64 with gaps goes through float and rounds large ids.
    into = aliases[["old_id", "id"]].astype({"old_id": "int64", "id": "Int64"}).set_index("old_id")["id"]
    today = ids.map(into).astype("Int64").fillna(ids)
    return today.where(today.isin(contacts["id"].astype("int64")))


def _lines(contacts: pd.DataFrame, aliases: pd.DataFrame, e164: dict[str, str]) -> pd.DataFrame:
    """Who has which of these numbers, each pair once: a contact with one number in both fields does not share it."""
    import pandas as pd

    found = []
    for field in ("phone", "mobile_phone"):
        having = contacts[contacts[field].isin(e164)]
        ids = _today(having["id"], contacts, aliases).array
        numbers = having[field].map(e164).astype("string").array
        found.append(pd.DataFrame({"contact_id": ids, "number": numbers}))
    return pd.concat(found).dropna().drop_duplicates()


def _of_calls(pairs: pd.DataFrame, calls: pd.DataFrame) -> pd.Series:
    return pairs.set_index("call_id")["contact_id"].reindex(calls.index)


def _e164(texts: Iterable[str], region: str, among: Collection[str] | None = None) -> dict[str, str]:
    """The texts that are phone numbers (`among` these) in the one spelling that can be compared, without an extension.

    A number has to be valid, not only possible: what merely has the right length is a placeholder (+71234567890) or a
    number of another country written without its code, and would join people who never spoke. Two numbers in one field
    are none.
    """
    import phonenumbers

    if region not in phonenumbers.SUPPORTED_REGIONS:
        raise FixConfig(
            f"no phone numbers are known of the region {region!r}",
            next_step="give a country by its two capital letters, such as RU",
        )
    found = {}
    for text in texts:
        try:
            number = phonenumbers.parse(text, region)
        except phonenumbers.NumberParseException:
            continue
        if phonenumbers.is_valid_number(number):
            spelled = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
            if among is None or spelled in among:
                found[text] = spelled
    return found
