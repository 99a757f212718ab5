"""Bitrix's people: what is not named in the product is never read, so a password's hash reaches no table and no log.

The fixture `company` looks through every table for the sandbox's recognisable secrets when a test ends.
"""

import json
from typing import Any

import pytest

from sync_assets.errors import CallVendor, RetryLater, SyncError
from sync_assets.extract import scan
from sync_assets.sandbox.bitrix.people import CANARY
from sync_assets.systems.bitrix.numbered import ALLOWED, allowed
from sync_assets_tests.check.look import look
from sync_assets_tests.company import Company
from sync_assets_tests.systems.bitrix_requests import asked_for

LIST = r"user\.get$"


def person(company: Company, n: int = 3) -> int:
    return sorted(company.sandbox.world.bitrix.users)[n]


def rejected(company: Company) -> list[tuple[Any, ...]]:
    return company.query("select key, reason, payload from sync.rejected where account = 'bitrix' order by key")


def assert_no_secret(company: Company) -> None:
    """Said here, too, so that the test reads as what it is for."""
    for row in company.raw("users", "bitrix").values():
        assert row.keys() <= ALLOWED | {"_notes"} and CANARY not in json.dumps(row)
    for _, _, payload in rejected(company):
        assert CANARY.encode() not in bytes(payload) and b"WORD" not in bytes(payload)


def test_people_are_kept_by_the_parts_that_are_named(company: Company) -> None:
    company.synced("full", "bitrix", "users")
    assert company.raw("users", "bitrix") == company.truth("users", "bitrix")
    assert_no_secret(company)
    sent = [r for r in company.sandbox.requests if r.path.endswith("user.get")]
    assert sent and sent[0].bytes > 0


@pytest.mark.parametrize("stamps", ["object", "site", "absent"])
def test_a_person_whose_visits_alone_have_changed_is_unchanged(company: Company, stamps: str) -> None:
    company.synced("full", "bitrix", "users")
    company.sandbox.world.switches["bitrix.user_stamps"] = stamps
    company.sandbox.world.bitrix.update_user(person(company), LAST_LOGIN="2026-01-01T00:00:00+03:00", IS_ONLINE="Y")
    done = company.synced("incremental", "bitrix", "users")["users"].totals
    assert (done["unchanged"], done["updated"]) == (done["fetched"], 0)


DAMAGE: list[tuple[str, dict[str, Any], bool]] = [
    ("V1", {"field": "NAME"}, True),
    ("V1", {"field": "PASSWORD"}, False),
    ("V2", {"field": "LAST_NAME", "variant": "surrogate"}, True),
    ("V2", {"field": "EMAIL", "variant": "bytes"}, True),
    ("V2", {"field": "CHECKWORD", "variant": "bytes"}, False),
    ("V3", {"field": "WORK_PHONE", "variant": "overflow"}, True),
    ("V3", {"field": "WORK_PHONE", "variant": "nan"}, True),
    ("V3", {"field": "PASSWORD", "variant": "digits"}, False),
    ("V6", {"field": "WORK_POSITION", "variant": "nested"}, True),
    ("V6", {"field": "PASSWORD", "variant": "nested"}, False),
    ("V6", {"field": "NAME", "variant": "long_key"}, False),
    ("V7", {"variant": "missing"}, True),
    ("V7", {"variant": "null"}, True),
    ("V8", {"field": "NAME"}, False),
]


@pytest.mark.parametrize(
    ("fault", "options", "noted"), DAMAGE, ids=["_".join([f, *map(str, o.values())]) for f, o, _ in DAMAGE]
)
def test_v1_to_v8_a_damaged_person_keeps_no_secret_and_costs_nobody_else(
    company: Company, fault: str, options: dict[str, Any], noted: bool
) -> None:
    victim = person(company)
    struck = company.sandbox.faults.set(fault, system="bitrix", path=LIST, record=victim, **options)
    company.synced("full", "bitrix", "users")
    assert struck.strikes
    held, truth = company.raw("users", "bitrix"), company.truth("users", "bitrix")
    assert {k: v for k, v in held.items() if k != victim} == {k: v for k, v in truth.items() if k != victim}
    assert bool(rejected(company)) == noted
    # What was damaged in a part that is never read costs nothing at all.
    if options.get("field") in ("PASSWORD", "CHECKWORD"):
        assert held == truth
    assert_no_secret(company)
    company.sandbox.faults.clear()
    company.synced("full", "bitrix", "users")
    assert company.raw("users", "bitrix") == company.truth("users", "bitrix")
    company.assert_ledger_adds_up()


@pytest.mark.parametrize(
    ("fault", "options"),
    [(None, {}), ("V1", {"field": "NAME"}), ("V6", {"field": "PASSWORD"}), ("V7", {}), ("V3", {"field": "EMAIL"})],
    ids=["sound", "V1", "V6", "V7", "V3"],
)
def test_people_who_are_asked_for_by_their_ids_bring_no_secret_either(
    company: Company, fault: str | None, options: dict[str, Any]
) -> None:
    company.sandbox.faults.set("L1", system="bitrix", path=LIST, share=1.0)
    if fault:
        company.sandbox.faults.set(fault, system="bitrix", path=r"user\.get\?ID", record=person(company, 0), **options)
    company.synced("full", "bitrix", ["users", "orders"])
    staff = company.sandbox.world.bitrix.users.keys()
    assert staff & set(asked_for(company.sandbox, "user.get", "ID"))
    held = company.raw("users", "bitrix")
    assert held or fault
    assert held.keys() <= staff
    assert_no_secret(company)


@pytest.mark.parametrize("variant", ["list_missing", "null", "object", "error200", "numbers"])
def test_a8_people_in_another_shape_are_an_error_and_no_secret_goes_on(company: Company, variant: str) -> None:
    company.synced("full", "bitrix", "users")
    company.sandbox.faults.set("A8", system="bitrix", path=LIST, variant=variant)
    done = company.sync("full", "bitrix", "users")
    assert isinstance(done["users"], CallVendor), done
    assert CANARY not in str(done["users"])
    assert company.raw("users", "bitrix") == company.truth("users", "bitrix")


def test_p1_people_that_come_in_a_ring_are_an_error(company: Company) -> None:
    world = company.sandbox.world.bitrix
    for n in range(120):
        world.create_user(f"Name {n}")
    company.sandbox.faults.set("P1", system="bitrix", path=LIST, loop=2)
    done = company.sync("full", "bitrix", "users")
    assert isinstance(done["users"], CallVendor) and "came before" in str(done["users"])
    company.sandbox.faults.clear()
    company.sandbox.faults.set("A3", system="bitrix", path="start=100", status=503)
    assert isinstance(company.sync("full", "bitrix", "users")["users"], RetryLater)
    company.sandbox.faults.clear()
    company.synced("full", "bitrix", "users")
    assert company.raw("users", "bitrix") == company.truth("users", "bitrix")


def test_whom_the_list_shows_no_more_stays_as_no_answer_says_that_they_left(company: Company) -> None:
    company.synced("full", "bitrix", "users")
    gone = person(company, 5)
    del company.sandbox.world.bitrix.users[gone]
    done = company.sync("full", "bitrix", "users")["users"]
    assert not isinstance(done, SyncError)
    # user.get never says that somebody is gone: whom it shows no more stays, and is told as unreachable.
    assert gone in company.raw("users", "bitrix") and str(gone) in done.unreachable
    assert look(company, "columns_parse", "users", "bitrix").passed


# The allow-list itself, on whatever bytes come.

ROWS = [
    b'{"ID":"7","\\u0050ASSWORD":"%s","CHECK\\u0057ORD":"%s"}',
    b'{"ID":"7","password":"%s","PASSWORD ":"%s"," PASSWORD":"%s","PASS\\/WORD":"%s"}',
    b'{ "ID" : "7" ,\n\t"PASSWORD"\n:\n"%s" , "CHECKWORD" : ["%s",{"NAME":"%s"}] }',
    b'{"ID":"7","PASSWORD":"\\"}%s{\\"","CHECKWORD":"\\\\%s"}',
    b'{"PASSWORD":"%s","PASSWORD":"%s","ID":"7"}',
    b'{"ID":"7","X":{"NAME":"%s","PASSWORD":"%s"}}',
    b'{"ID":"7","NAME":"n" "PASSWORD":"%s"}',
    b'{"ID":"7","NAME":"n":"%s"}',
    b'{"ID":"7","PASSWORD":%s}',
    b'{"ID":"7","PASSWORD":NaN %s,"CHECKWORD":"\xff%s\xfe"}',
    b'{"ID":"7","PASSWORD":"%s"',
    b'{"ID":"7","PASSWORD":"%s',
    b'["PASSWORD","%s"]',
    b'"%s"',
]


@pytest.mark.parametrize("row", ROWS, ids=range(len(ROWS)))
def test_no_spelling_of_a_secrets_name_passes_the_list(row: bytes) -> None:
    secret = CANARY.encode()
    row = row.replace(b"%s", secret)
    for kept in (scan.only(row, ALLOWED), allowed(b'{"result":[' + row + b"]}"), allowed(b'{"result":' + row + b"}")):
        assert secret not in kept
    if row.startswith(b"{"):
        assert scan.field(scan.only(row, ALLOWED), "ID") == "7"


def test_what_is_allowed_is_kept_byte_by_byte() -> None:
    row = b'{"UF_DEPARTMENT":[1, 2],"NAME":"\\u0416 \\" {}","ACTIVE":true,"SECOND_NAME":null,"EMAIL":1e400000}'
    assert scan.only(row, ALLOWED) == row
    assert scan.only(b" {} ", ALLOWED) == b"{}"


def test_the_list_holds_nothing_that_could_be_a_secret() -> None:
    assert not [name for name in ALLOWED if any(word in name for word in ("PASS", "WORD", "HASH", "SALT", "TOKEN"))]


@pytest.mark.parametrize(
    "body",
    [
        b'{"result":{"PASSWORD":"%s"}}',
        b'{"result":"%s"}',
        b'{"PASSWORD":"%s"}',
        b'{"error":"x","error_description":"%s"}',
        b'{"result":[],"PASSWORD":"%s","total":"%s","next":"%s"}',
        b'{"result":[{"ID":"7"},"%s"]',
    ],
)
def test_what_comes_beside_the_rows_goes_no_further(body: bytes) -> None:
    assert CANARY.encode() not in allowed(body.replace(b"%s", CANARY.encode()))
