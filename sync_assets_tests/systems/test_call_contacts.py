"""Whose call it was: each kind of evidence, what spoils it, and the whole of it against what the sandbox knows."""

import random
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pandas as pd
import phonenumbers
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sync_assets.errors import FixConfig
from sync_assets.sandbox.server import Sandbox
from sync_assets.sandbox.world import World
from sync_assets.systems.hubspot import call_contacts
from sync_assets.systems.hubspot.call_contacts import resolve

COLUMNS = {
    "calls": ["id", "direction", "from_number", "to_number", "callee_id", "callee_type"],
    "contacts": ["id", "phone", "mobile_phone"],
    "links": ["call_id", "contact_id"],
    "aliases": ["old_id", "id"],
}
OWN = "+74951234567"
ANNA, BORIS, OFFICE = "+79161112233", "+79262223344", "+74952223344"
CONTACTS = [(1, "8 (916) 111-22-33", None), (2, None, BORIS), (3, OFFICE, ""), (4, "84952223344", "n/a")]
Rows = list[tuple[Any, ...]]
Answer = tuple[int | None, str, str | None, str | None]


def frame(name: str, rows: Rows) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=COLUMNS[name])


def resolved(calls: Rows, contacts: Rows, links: Rows = [], aliases: Rows = []) -> dict[int, Answer]:  # noqa: B006
    given = [frame(*named) for named in zip(COLUMNS, (calls, contacts, links, aliases), strict=True)]
    copies = [one.copy() for one in given]
    found = resolve(*given, region="RU")
    for one, copy in zip(given, copies, strict=True):
        pd.testing.assert_frame_equal(one, copy)
    assert list(found.columns) == ["call_id", "contact_id", "how", "reason", "number"]
    assert (found["call_id"].dtype, found["contact_id"].dtype) == ("int64", "Int64")
    rows = found.astype({"contact_id": object}).itertuples(index=False, name=None)
    answers = {id: (None if who is pd.NA else who, *said) for id, who, *said in rows}
    assert len(answers) == len(found) == len(calls)
    assert all(text is None or isinstance(text, str) for answer in answers.values() for text in answer[1:])
    return answers


def of_call(
    *,
    links: list[int] | None = None,
    callee: tuple[int, str | None] | None = None,
    number: str | None = ANNA,
    direction: str | None = "OUTBOUND",
    contacts: Rows = CONTACTS,
    aliases: Rows = [],  # noqa: B006
) -> Answer:
    ends = (number, OWN) if direction == "INBOUND" else (OWN, number)
    call = (7, direction, *ends, *(callee or (None, None)))
    return resolved([call], contacts, [(7, contact) for contact in links or []], aliases)[7]


# Associations.


def test_the_associated_contact_is_it_whatever_callee_and_number_say() -> None:
    assert of_call(links=[4], callee=(2, "CONTACT")) == (4, "association", None, ANNA)


def test_an_association_that_repeats_is_one_also_after_a_merge() -> None:
    assert of_call(links=[4, 4, 4])[:2] == (4, "association")
    assert of_call(links=[90, 4], aliases=[(90, 4)])[:3] == (4, "association", None)


def test_of_several_associated_the_callee_is_it() -> None:
    assert of_call(links=[1, 2, 3], callee=(2, "CONTACT"))[:3] == (2, "association", call_contacts.PICKED_BY_CALLEE)
    assert of_call(links=[1, 2, 3], callee=(90, "0-1"), aliases=[(90, 3)])[0] == 3


def test_of_several_associated_the_only_one_with_the_number_is_it() -> None:
    assert of_call(links=[1, 2])[:3] == (1, "association", call_contacts.PICKED_BY_PHONE)
    assert of_call(links=[1, 3], number="8-495-222-33-44")[0] == 3, "that 4 has it too does not matter: not associated"


@pytest.mark.parametrize("number", [OFFICE, BORIS, "anonymous", None])
def test_several_associated_and_nothing_to_pick_one_by_are_nobody(number: str | None) -> None:
    answer = of_call(links=[1, 3, 4], number=number)
    assert answer[:3] == (None, "unresolved", call_contacts.SEVERAL), "not even a callee or number of somebody else"
    assert of_call(links=[1, 3, 4], number=number, callee=(2, "CONTACT"))[:3] == answer[:3]


def test_an_associated_contact_that_is_not_there_counts_as_none() -> None:
    assert of_call(links=[99], number=BORIS) == (2, "phone", None, BORIS)
    assert of_call(links=[99, 4])[:3] == (4, "association", None)
    assert of_call(links=[90], aliases=[(90, 99)], number=None)[:3] == (None, "unresolved", call_contacts.NO_NUMBER)


# Callees.


@pytest.mark.parametrize("type", ["CONTACT", "contact", "Contact", "0-1"])
def test_the_callee_goes_before_the_number(type: str) -> None:
    assert of_call(callee=(2, type)) == (2, "callee", None, ANNA)


@pytest.mark.parametrize("type", ["COMPANY", "0-2", "", None])
def test_a_callee_that_is_no_contact_is_not_looked_up(type: str | None) -> None:
    assert of_call(callee=(2, type))[:2] == (1, "phone")
    assert of_call(links=[2, 3], callee=(2, type))[:3] == (None, "unresolved", call_contacts.SEVERAL)


def test_a_callee_is_followed_through_merges_and_forgotten_when_gone() -> None:
    assert of_call(callee=(90, "CONTACT"), aliases=[(90, 2)])[:2] == (2, "callee")
    assert of_call(callee=(99, "CONTACT"))[:2] == (1, "phone")
    assert of_call(links=[90, 91], contacts=[(2**60 + 1, ANNA, ANNA)], aliases=[(90, 2**60 + 1)])[0] == 2**60 + 1


# Numbers.


@pytest.mark.parametrize(
    "spelled",
    [ANNA, "89161112233", "79161112233", "9161112233", " +7(916)1112233 ", "8-916-111-22-33", "+7 916 1112233 доб. 12",
     "+7 916 111-22-33 ext. 4", "tel:+7-916-111-22-33"],
)  # fmt: skip
def test_a_number_is_the_same_in_every_spelling(spelled: str) -> None:
    assert of_call(number=spelled) == (1, "phone", None, ANNA)
    assert of_call(contacts=[(1, None, spelled)]) == (1, "phone", None, ANNA)


@pytest.mark.parametrize("spelled", ["+1 (415) 555-2671", "+380 93 180 6738", "+7 701 555 00 03", "8 701 555 00 03"])
def test_a_number_from_abroad_is_itself(spelled: str) -> None:
    assert of_call(number=spelled, contacts=[(1, spelled, None)])[:2] == (1, "phone")


@pytest.mark.parametrize(
    "text",
    ["anonymous", "sip:104", "104", "n/a", "нет", "(509) 999 9999", "+71234567890", "555-122-2323", "+1234567890",
     f"{ANNA} / {BORIS}", f"{ANNA}, {BORIS}", "\x00", "9" * 300],
)  # fmt: skip
def test_what_is_no_number_joins_nobody_even_if_the_texts_are_equal(text: str) -> None:
    assert of_call(number=text, contacts=[(1, text, text)]) == (None, "unresolved", call_contacts.NOT_A_NUMBER, None)


@pytest.mark.parametrize("text", [None, "", "  "])
def test_no_number_is_no_number(text: str | None) -> None:
    assert of_call(number=text, contacts=[(1, text, text)]) == (None, "unresolved", call_contacts.NO_NUMBER, None)


def test_a_number_that_nobody_has_or_that_several_have_resolves_nobody() -> None:
    assert of_call(number="+79990000000")[:3] == (None, "unresolved", call_contacts.NOBODY)
    assert of_call(number=OFFICE) == (None, "unresolved", call_contacts.SHARED, OFFICE)


def test_a_contact_shares_no_number_with_itself_nor_with_who_was_merged_into_it() -> None:
    assert of_call(contacts=[(1, ANNA, "8 916 111 22 33")])[:2] == (1, "phone")
    assert of_call(contacts=[(1, ANNA, None), (90, ANNA, None)], aliases=[(90, 1)])[:2] == (1, "phone")


@pytest.mark.parametrize("direction", ["INBOUND", "inbound", "OUTBOUND", "Outbound"])
def test_the_external_party_is_at_the_other_end_and_our_own_line_is_nobody(direction: str) -> None:
    ends = (ANNA, OWN) if direction.upper() == "INBOUND" else (OWN, ANNA)
    call = (7, direction, *ends, None, None)
    assert resolved([call], [(1, ANNA, None), (5, OWN, None)])[7] == (1, "phone", None, ANNA)


@pytest.mark.parametrize("direction", [None, "", "INTERNAL"])
def test_without_a_direction_no_number_is_the_other_end(direction: str | None) -> None:
    assert of_call(direction=direction) == (None, "unresolved", call_contacts.NO_DIRECTION, None)
    assert of_call(direction=direction, links=[2])[:2] == (2, "association")


def test_the_region_tells_what_a_number_without_country_is() -> None:
    frames = {"calls": [(7, "INBOUND", "(415) 555-2671", OWN, None, None)], "contacts": [(1, "+14155552671", None)]}
    given = [frame(name, frames.get(name, [])) for name in COLUMNS]
    assert list(resolve(*given, region="US")["contact_id"]) == [1]
    assert list(resolve(*given, region="RU")["reason"]) == [call_contacts.NOBODY], "a number of Kamchatka"
    for unknown in ("", "ru", "XX"):
        with pytest.raises(FixConfig, match="region"):
            resolve(*given, region=unknown)


# The whole.


def test_nothing_in_is_nothing_out() -> None:
    assert resolved([], []) == {} == resolved([], CONTACTS, [(7, 1)], [(90, 1)])


def test_every_text_is_parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    parse = phonenumbers.parse
    monkeypatch.setattr(phonenumbers, "parse", lambda text, region: asked.append(text) or parse(text, region))
    resolved([(n, "INBOUND", ANNA, OWN, None, None) for n in range(50)], [(n, ANNA, BORIS) for n in range(50)])
    assert sorted(asked) == sorted({ANNA, BORIS})


def test_whoever_only_imports_it_does_not_pay_for_pandas() -> None:
    asked = f"import sys, {call_contacts.__name__}; print({{'pandas', 'phonenumbers'}} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


IDS = st.integers(1, 6)
SPELLED = {ANNA: ANNA, "89161112233": ANNA, BORIS: BORIS, "8 926 222 33 44": BORIS, "sip:104": None, "": None}
NUMBERS = st.sampled_from([*SPELLED, None])
CALLS = st.lists(
    st.tuples(
        IDS, st.sampled_from(["INBOUND", "OUTBOUND", None]), NUMBERS, NUMBERS,
        st.none() | st.integers(1, 8), st.sampled_from(["CONTACT", "COMPANY", None]),
    ),
    unique_by=lambda row: row[0],
)  # fmt: skip
PEOPLE = st.lists(st.tuples(IDS, NUMBERS, NUMBERS), unique_by=lambda row: row[0])
LINKS = st.lists(st.tuples(IDS, st.integers(1, 8)), max_size=12)
ALIASES = st.lists(st.tuples(st.integers(5, 8), st.integers(1, 4)), unique_by=lambda row: row[0])


def by_hand(call: tuple[Any, ...], contacts: Rows, links: Rows, aliases: Rows) -> tuple[int | None, str]:
    """The rules once more, call by call: what the joins have to come to."""
    there, into = {id for id, _, _ in contacts}, dict(aliases)

    def today(id: int | None) -> set[int]:
        return {into.get(id, id)} & there

    id, direction, sender, to, callee_id, callee_type = call
    number = SPELLED.get({"INBOUND": sender, "OUTBOUND": to}.get(direction))
    having = {c for id, *texts in contacts if number and number in map(SPELLED.get, texts) for c in today(id)}
    callee = today(callee_id) if callee_type == "CONTACT" else set()
    linked = {c for call_id, contact in links if call_id == id for c in today(contact)}
    ways = [(linked, "association"), (callee, "callee"), (having, "phone")]
    if len(linked) > 1:
        ways = [(linked & callee, "association"), (linked & having, "association")]
    return next(((*who, how) for who, how in ways if len(who) == 1), (None, "unresolved"))


@settings(max_examples=60)
@given(calls=CALLS, contacts=PEOPLE, links=LINKS, aliases=ALIASES, seed=st.integers(0, 99))
def test_each_call_has_one_row_that_the_rules_explain_in_any_order(
    calls: Rows, contacts: Rows, links: Rows, aliases: Rows, seed: int
) -> None:
    found = resolved(calls, contacts, links, aliases)
    expected = {call[0]: by_hand(call, contacts, links, aliases) for call in calls}
    assert {id: answer[:2] for id, answer in found.items()} == expected
    assert {answer[0] for answer in found.values()} <= {None, *(id for id, *_ in contacts)}
    assert {answer[2] for answer in found.values()} <= {None, *call_contacts.REASONS}
    shuffled = [random.Random(seed).sample(rows, len(rows)) for rows in (calls, contacts, links, aliases)]
    assert resolved(*shuffled) == found and list(found) == sorted(found)


# What the sandbox knows.


def told(world: World) -> tuple[dict[int, Answer], list[tuple[int, int | None, str]]]:
    """What is found from the portal's records, and who was really on the line."""

    def rows(entity: str, *names: str) -> Rows:
        records = world.truth("hubspot", entity)
        return [(int(r["id"]), *(r["properties"].get(name) for name in names)) for r in records]

    named = ("direction", "from_number", "to_number", "callee_object_id", "callee_object_type")
    calls = [(*row[:4], row[4] and int(row[4]), row[5]) for row in rows("calls", *(f"hs_call_{n}" for n in named))]
    links = [
        (int(r["from_id"]), int(r["to_id"]))
        for r in world.truth("hubspot", "associations")
        if (r["from_type"], r["to_type"]) == ("calls", "contacts")
    ]
    merged = [r for r in world.truth("hubspot", "merged") if r["object_type"] == "contacts"]
    aliases = [(int(r["id"]), int(r["into"])) for r in merged]
    truth = world.truth("hubspot", "callers")
    callers = [(int(r["call_id"]), r["contact_id"] and int(r["contact_id"]), r["via"]) for r in truth]
    return resolved(calls, rows("contacts", "phone", "mobilephone"), links, aliases), callers


@pytest.mark.parametrize(("merges", "steps"), [(0, 0), (40, 0), (0, 40)])
@pytest.mark.parametrize("merge", ["new", "keep"])
def test_who_can_be_known_is_known_and_nobody_is_taken_for_another(
    make_sandbox: Callable[..., Sandbox], merge: str, merges: int, steps: int
) -> None:
    sandbox = make_sandbox(switches={"hubspot.merge": merge})
    sandbox.faults.set("L4", system="hubspot", count=merges)
    sandbox.world.advance(steps)
    found, callers = told(sandbox.world)
    assert found.keys() == {call for call, _, _ in callers}
    assert {via for _, _, via in callers} >= {"association", "callee", "phone", "unknown"}
    for call, contact, via in callers:
        who, how, reason, _ = found[call]
        if via in ("association", "callee", "phone"):
            assert (who, how) == (contact, via)
        elif via == "merged":
            assert who in (contact, None), "the survivor may have kept the other's number"
        elif via == "gone":
            assert how != "association", "who went leaves no association behind, but what the call itself says stays"
        else:
            assert who is None and reason is not None
