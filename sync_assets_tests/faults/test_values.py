"""V1-V9: values that JSON libraries, jsonb or columns refuse. One bad value costs at most its own record, visibly."""

from __future__ import annotations

from typing import Any

import pytest
from psycopg2 import sql

from sync_assets.entity import Whole
from sync_assets.errors import AnswerTooLarge
from sync_assets.extract import http
from sync_assets.load.batch import Row
from sync_assets.load.database import Database
from sync_assets.load.look_up import changed
from sync_assets.load.target import targets
from sync_assets.load.upsert import write
from sync_assets.sandbox.faults import Fault
from sync_assets_tests.company import Company


@pytest.fixture
def company(grown: Company) -> Company:
    return grown


@pytest.fixture
def victim(company: Company) -> int:
    """A card in the middle of its page."""
    cards = sorted(company.truth("cards"))
    return int(cards[len(cards) // 2])


def newborn(company: Company) -> int:
    """A card that Postgres has not seen yet."""
    return company.sandbox.world.kaiten.create_card(title="new")


def spoil(company: Company, fault: str, victim: int, path: str = "/cards$", **options: Any) -> Fault:
    return company.sandbox.faults.set(fault, system="kaiten", path=path, record=victim, **options)


def sync_cards(company: Company) -> dict[str, Any]:
    return company.synced("full", only="cards")["cards"].totals


def rejected(company: Company, entity: str = "cards") -> list[tuple[Any, ...]]:
    return company.query(
        "select key, field, reason, kept, payload, size from sync.rejected where entity = %s order by first_at",
        [entity],
    )


def assert_others_are_whole(company: Company, victim: int, entity: str = "cards") -> None:
    truth, held = company.truth(entity), company.raw(entity)
    assert truth.keys() - {victim} == held.keys() - {victim}
    assert all(held[key] == record for key, record in truth.items() if key != victim)


def assert_heals(company: Company) -> None:
    company.sandbox.faults.clear()
    company.synced(only=("tags", "cards"))
    company.assert_world_equals_postgres()
    company.assert_ledger_adds_up()


MENDED = [
    ("V1", "nul", "before\ufffdafter", b"before\\u0000after", "NUL replaced"),
    ("V2", "surrogate", "half \ufffd pair", b"half \\ud800 pair", "lone surrogate replaced"),
    ("V2", "bytes", "bad \ufffd\ufffd\ufffd( bytes", b"bad \xff\xfe\xc3( bytes", "invalid UTF-8 replaced"),
]


@pytest.mark.parametrize(("fault", "variant", "text", "raw", "note"), MENDED)
@pytest.mark.parametrize("known", [False, True], ids=["new", "known"])
def test_v1_v2_text_that_no_database_holds_is_mended_noted_and_kept_as_evidence(
    company: Company, victim: int, fault: str, variant: str, text: str, raw: bytes, note: str, known: bool
) -> None:
    victim = victim if known else newborn(company)
    struck = spoil(company, fault, victim, variant=variant)
    totals = sync_cards(company)
    assert struck.strikes == 1
    assert (totals["rejected"], totals["updated" if known else "created"]) == (0, 1)
    card = company.raw("cards")[victim]
    assert card.pop("_notes") == [note]
    assert card == company.truth("cards")[victim] | {"title": text}
    [(key, _, reason, kept, payload, size)] = rejected(company)
    assert (key, reason, kept, size) == (str(victim), note, True, len(bytes(payload)))
    assert b'"title":"' + raw + b'"' in bytes(payload)
    assert_others_are_whole(company, victim)
    assert sync_cards(company)["unchanged"] == company.count("cards")
    assert_heals(company)


REJECTED = [
    ("V3", "overflow", "size", "/size", "22003"),
    ("V3", "nan", "size", "/size", "22P02"),
    ("V3", "infinity", "sort_order", "/sort_order", "22P02"),
    ("V6", "nested", "title", "/title", "54001"),
]


@pytest.mark.parametrize(("fault", "variant", "field", "path", "sqlstate"), REJECTED)
@pytest.mark.parametrize("known", [False, True], ids=["new", "known"])
def test_v3_v6_what_jsonb_cannot_hold_costs_one_record_and_names_its_path(
    company: Company, victim: int, fault: str, variant: str, field: str, path: str, sqlstate: str, known: bool
) -> None:
    victim = victim if known else newborn(company)
    spoil(company, fault, victim, variant=variant, field=field)
    totals = sync_cards(company)
    count = len(company.truth("cards"))
    assert (totals["rejected"], totals["unchanged"], totals["fetched"]) == (1, count - 1, count)
    assert company.query("select status from sync.logs where entity = 'cards' order by id desc limit 1") == [
        ("partial",)
    ]
    [(key, where, reason, kept, payload, _)] = rejected(company)
    assert (key, where, kept) == (str(victim), path, False)
    assert sqlstate in reason
    assert bytes(payload).startswith(b'{"id":%d,' % victim)
    assert_others_are_whole(company, victim)
    assert (victim in company.raw("cards")) == known
    assert_heals(company)


UNPARSED = [
    ("V3", "digits", "size", "size"),
    ("V3", "comma", "size", "size"),
    ("V4", "empty", "due_date", "due_at"),
    ("V4", "zero", "due_date", "due_at"),
    ("V4", "feb30", "due_date", "due_at"),
    ("V4", "year10000", "due_date", "due_at"),
    ("V4", "dotted", "due_date", "due_at"),
    ("V4", "unix", "due_date", "due_at"),
    ("V4", "year10000", "updated", "source_changed_at"),
    ("V5", "invent_stage", "state", "state"),
]


@pytest.mark.parametrize(("fault", "variant", "field", "column"), UNPARSED)
def test_v3_v4_v5_a_text_that_is_not_of_its_columns_type_is_kept_as_it_is(
    company: Company, victim: int, fault: str, variant: str, field: str, column: str
) -> None:
    spoil(company, fault, victim, variant=variant, field=field)
    assert sync_cards(company)["rejected"] == 0
    text = "nullif(raw_json ->> %s, '') is not null" if variant != "empty" else "raw_json ->> %s = ''"
    query = sql.SQL("select {}, " + text + " from kaiten.cards where id = %s").format(sql.Identifier(column))
    assert company.query(query, [field, victim]) == [(None, True)]
    company.query("update kaiten.cards set raw_json = raw_json - 'size', payload_hash = null where id = %s", [victim])
    assert_others_are_whole(company, victim)
    assert_heals(company)


def test_v3_a_number_beyond_64_bits_keeps_every_digit(company: Company, victim: int) -> None:
    spoil(company, "V3", victim, variant="int64", field="size")
    sync_cards(company)
    assert company.query("select size::text, raw_json ->> 'size' from kaiten.cards where id = %s", [victim]) == [
        ("9223372036854775808", "9223372036854775808")
    ]
    assert_heals(company)


def test_v5_an_unknown_code_is_kept(company: Company, victim: int) -> None:
    spoil(company, "V5", victim, variant="number", field="state")
    sync_cards(company)
    assert company.query("select state from kaiten.cards where id = %s", [victim]) == [(99,)]
    assert_heals(company)


@pytest.mark.parametrize(
    ("variant", "title"), [("wrong_type", '{"was": "text"}'), ("long_key", '{"' + "k" * 4000 + '": 1}')]
)
def test_v6_a_value_of_another_type_is_kept_whole(company: Company, victim: int, variant: str, title: str) -> None:
    spoil(company, "V6", victim, variant=variant)
    sync_cards(company)
    assert company.query("select title from kaiten.cards where id = %s", [victim]) == [(title,)]
    assert_heals(company)


def test_v6_a_field_name_with_nul_is_mended_and_never_counts_as_a_field(company: Company, victim: int) -> None:
    spoil(company, "V6", victim, field="title", value=b'"t","na\\u0000me":1')
    assert sync_cards(company)["rejected"] == 0
    assert company.raw("cards")[victim]["na\ufffdme"] == 1
    assert_heals(company)


@pytest.mark.parametrize("variant", ["missing", "null"])
def test_v7_a_record_without_a_key_is_rejected_and_its_row_stays(company: Company, victim: int, variant: str) -> None:
    spoil(company, "V7", victim, variant=variant)
    totals = sync_cards(company)
    assert (totals["rejected"], totals["deleted"]) == (1, 0)
    [(key, _, reason, kept, payload, _)] = rejected(company)
    assert (key, kept) == (None, False)
    assert "its key is missing" in reason
    assert bytes(payload).startswith(b"{")
    company.assert_world_equals_postgres()
    assert_heals(company)


@pytest.mark.parametrize("variant", ["missing", "null"])
def test_v7_a_keyless_record_of_a_list_without_reads_by_id_deletes_nothing(company: Company, variant: str) -> None:
    tag = min(company.raw("tags"))
    spoil(company, "V7", tag, path="/tags", variant=variant)
    outcome = company.synced(only="tags")["tags"]
    assert (outcome.totals["rejected"], outcome.totals["deleted"]) == (1, 0)
    assert "without a key" in outcome.note
    assert tag in company.raw("tags")
    assert_heals(company)


@pytest.mark.parametrize("value", [b'"12a"', b"-5", b"true", b'"' + b"9" * 4000 + b'"', b'{"id":1}', b"1e400000"])
def test_v7_a_key_of_another_kind_is_rejected_not_guessed(company: Company, value: bytes) -> None:
    victim = newborn(company)
    spoil(company, "V7", victim, variant="null", value=value)
    totals = sync_cards(company)
    assert (totals["rejected"], totals["created"], totals["deleted"]) == (1, 0, 0)
    assert_others_are_whole(company, victim)
    assert_heals(company)


@pytest.mark.parametrize("value", [b'"%d"', b'"00%d"'])
def test_v7_a_key_spelled_as_text_is_the_same_record(company: Company, victim: int, value: bytes) -> None:
    spoil(company, "V7", victim, variant="null", value=value % victim)
    totals = sync_cards(company)
    assert (totals["updated"], totals["created"], totals["deleted"], totals["rejected"]) == (1, 0, 0, 0)
    assert_others_are_whole(company, victim)
    assert_heals(company)


def test_v7_one_record_under_two_spellings_counts_once(company: Company) -> None:
    tag = min(company.raw("tags"))
    spoil(company, "V7", tag, path="/tags", variant="duplicate")
    totals = company.synced(only="tags")["tags"].totals
    assert (totals["fetched"], totals["repeated"], totals["updated"]) == (company.count("tags") + 1, 1, 1)
    assert_heals(company)


def test_v8_of_duplicate_json_keys_the_last_wins(company: Company, victim: int) -> None:
    spoil(company, "V6", victim, field="title", value=b'"first","title":"last"')
    assert sync_cards(company)["rejected"] == 0
    assert company.raw("cards")[victim]["title"] == "last"
    assert_heals(company)


@pytest.mark.parametrize("damage", [b"1", b"NaN"], ids=["whole", "damaged"])
def test_v8_of_duplicate_ids_the_last_is_the_key(company: Company, victim: int, damage: bytes) -> None:
    spoil(company, "V6", victim, field="title", value=b'%b,"id":77' % damage)
    totals = sync_cards(company)
    if damage == b"NaN":
        assert [(key, field) for key, field, *_ in rejected(company)] == [("77", "/title")]
    else:
        assert 77 in company.raw("cards")
    assert totals["fetched"] == len(company.truth("cards")) + 1  # the victim was missing, asked for by id and there
    assert_heals(company)


def test_v8_a_giant_answer_stops_at_the_door(company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "MAX_BODY", 2000)
    error = company.sync("full", only="cards")["cards"]
    assert isinstance(error, AnswerTooLarge)
    assert "larger than" in str(error)
    monkeypatch.undo()
    assert_heals(company)


def test_v9_sixty_six_thousand_rows_need_no_parameters(company: Company) -> None:
    rows = {str(i): Row(str(i), b'{"id":%d}' % i, i, Whole("/tags"), b"%016d" % i) for i in range(1, 66_001)}
    database = Database(company.database_url)
    try:
        goal = database.transaction(lambda cursor: targets(cursor, company.accounts["kaiten"], ["tags"])["tags"])
        counts = database.transaction(lambda cursor: write(cursor, goal, changed(cursor, goal, rows), 1))
        assert counts.created == 66_000
        assert database.transaction(lambda cursor: changed(cursor, goal, rows)) == []
    finally:
        database.close()
