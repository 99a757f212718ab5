"""Decide before writing: every record is exactly one of created, updated, unchanged, stale, repeated and rejected."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sync_assets.entity import ById, Entity, Whole
from sync_assets.load import stage
from sync_assets.load.batch import Row, batch
from sync_assets.load.look_up import changed
from sync_assets.load.migrations import FOLDER
from sync_assets.load.upsert import Counts, write
from sync_assets_tests.company import Company
from sync_assets_tests.load.hand import LIST, Hand, counts, hand

T1, T2, T3 = (f"2025-01-01T00:00:0{n}.000Z" for n in (1, 2, 3))
MEGABYTE = 1 << 20


@pytest.fixture(params=[True, False], ids=["few", "many"])
def few(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether changed records are judged where they come or in a table of their own: nobody can tell it."""
    if not request.param:
        monkeypatch.setattr(stage, "MOST", 0)
    return bool(request.param)


@pytest.fixture
def hands(company: Company, few: bool) -> Iterator[Callable[..., Hand]]:
    with ExitStack() as ends:

        def make(entity: str | Entity = "tags", account: str = "kaiten", **changes: Any) -> Hand:
            found = company.entity(entity, account) if isinstance(entity, str) else entity
            return ends.enter_context(hand(company.database_url, company.accounts[account], replace(found, **changes)))

        yield make


@pytest.fixture
def tags(hands: Callable[..., Hand]) -> Hand:
    return hands()


def tag(key: int, name: str = "a", updated: str | None = T1, **more: Any) -> dict[str, Any]:
    return {"id": key, "name": name, "updated": updated, **more}


def test_each_record_is_counted_as_exactly_one_thing(tags: Hand) -> None:
    assert tags.load(tag(1), tag(2), tag(3)) == counts(created=3)
    later = (tag(1), tag(2, "b", T2), tag(3, "c", "2024-01-01T00:00:00Z"), tag(4), tag(4), {"name": "keyless"})
    assert tags.load(*later) == counts(created=1, updated=1, unchanged=1, stale=1, repeated=1, rejected=1)
    assert [r["name"] for r in tags.raw()] == ["a", "b", "a", "a"]


def test_where_another_writer_was_first_with_a_key_the_newer_sight_wins(tags: Hand, hands: Callable[..., Hand]) -> None:
    other = hands()
    found = batch([tags.page(tag(1, "late"), tag(2), seen=1)], tags.target.seed)

    def work(cursor: Any) -> Counts:
        rows = changed(cursor, tags.target, found.rows)
        assert not any(row.held for row in rows)
        assert other.load(tag(1, "first"), seen=9) == counts(created=1)
        return write(cursor, tags.target, rows, 1)

    assert tags.database.transaction(work) == counts(created=1, stale=1)
    assert [(r["id"], r["name"]) for r in tags.raw()] == [(1, "first"), (2, "a")]


def test_new_records_go_straight_into_their_table_and_only_many_others_pass_one_before(tags: Hand, few: bool) -> None:
    def has_a_stage() -> bool:
        return bool(tags.database.query("select to_regclass('pg_temp.sync_stage') is not null")[0])

    assert tags.load(tag(1), tag(2)) == counts(created=2)
    assert not has_a_stage()
    assert tags.load(tag(2, "b", T2), tag(3)) == counts(created=1, updated=1)
    assert has_a_stage() != few


def test_few_are_few_in_number_and_in_bytes() -> None:
    def rows(count: int, size: int) -> list[Row]:
        return [Row(str(n), b"x" * size, n, LIST, b"") for n in range(count)]

    most, most_bytes = stage.MOST, stage.MOST_BYTES
    assert stage.are_few(rows(most, 1)) and stage.are_few(rows(2, most_bytes // 2))
    assert not stage.are_few(rows(most + 1, 1)) and not stage.are_few(rows(2, most_bytes // 2 + 1))


GUARD = [
    ("newer change, later sight", T2, 2, True),
    ("newer change, earlier sight", T2, 0, True),
    ("same change, later sight", T1, 2, True),
    ("same change, earlier sight", T1, 0, False),
    ("same change, same sight", T1, 1, False),
    ("older change, later sight", "2024-12-31T00:00:00Z", 2, False),
    ("no change time, later sight", None, 2, True),
    ("no change time, earlier sight", None, 0, False),
]


@pytest.mark.parametrize(("updated", "seen", "wins"), [g[1:] for g in GUARD], ids=[g[0] for g in GUARD])
def test_c5_newest_wins_not_last(tags: Hand, updated: str | None, seen: int, wins: bool) -> None:
    tags.load(tag(1, "held"), seen=1)
    assert tags.load(tag(1, "came", updated), seen=seen) == counts(updated=wins, stale=not wins)
    assert tags.raw()[0]["name"] == ("came" if wins else "held")


def test_c5_without_change_times_the_later_sight_wins(tags: Hand) -> None:
    tags.load(tag(1, "held", None), seen=5)
    assert tags.load(tag(1, "late page", None), seen=4) == counts(stale=1)
    assert tags.load(tag(1, "came", T1), seen=4) == counts(stale=1)
    assert tags.load(tag(1, "came", T1), seen=6) == counts(updated=1)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 9)), unique=True, min_size=1, max_size=6), st.data())
def test_c5_in_whatever_order_versions_arrive_the_newest_stays(
    tags: Hand, versions: list[tuple[int, int]], data: st.DataObject
) -> None:
    tags.database.query("delete from kaiten.tags")
    versions = list({seen: (at, seen) for at, seen in versions}.values())
    for at, seen in data.draw(st.permutations(versions)):
        tags.load(tag(1, f"{at} {seen}", f"2025-01-01T00:00:0{at}Z"), seen=seen)
    newest = max(versions)
    assert tags.raw()[0]["name"] == f"{newest[0]} {newest[1]}"


def test_p2_of_two_records_with_one_key_the_one_asked_for_later_stays(tags: Hand) -> None:
    first, second = tags.page(tag(1, "first"), seen=1), tags.page(tag(1, "second"), seen=2)
    assert tags.load_pages(second, first) == counts(created=1, repeated=1)
    assert tags.raw()[0]["name"] == "second"
    assert tags.load(tag(2, "one"), tag(2, "two")) == counts(created=1, repeated=1)
    assert tags.raw()[1]["name"] == "two"


@pytest.mark.parametrize(
    "other", [b'{"name":"a", "updated":null,"n":1.50,"id":1}', b'{"id":1,"n":15e-1,"name":"\\u0061","updated":null}']
)
def test_the_same_content_in_other_bytes_only_renews_the_hash(tags: Hand, other: bytes) -> None:
    tags.load(b'{"id":1,"name":"a","updated":null,"n":1.5}')
    before = tags.stored("raw_json::text, sync_id, synced_at, first_seen_at")
    hash_before = tags.stored("payload_hash")
    assert tags.load(other) == counts(unchanged=1)
    assert tags.stored("raw_json::text, sync_id, synced_at, first_seen_at") == before
    assert tags.stored("payload_hash") != hash_before
    written = tags.stored("xmin::text")
    assert tags.load(other) == counts(unchanged=1)
    assert tags.stored("xmin::text") == written


def test_hashes_of_another_seed_or_of_an_earlier_version_are_renewed_and_nothing_else_is(tags: Hand) -> None:
    tags.load(tag(1), tag(2))
    before = tags.stored("raw_json::text, sync_id, synced_at, first_seen_at")
    ours = tags.stored("payload_hash")
    earlier = "substr(sha256(raw_json::text::bytea), 1, 16)"
    tags.database.query(f"update kaiten.tags set payload_hash = {earlier} where id = 1 returning id")
    tags.target = replace(tags.target, seed=tags.target.seed + 1)
    assert tags.load(tag(1), tag(2)) == counts(unchanged=2)
    assert tags.stored("raw_json::text, sync_id, synced_at, first_seen_at") == before
    assert not set(tags.stored("payload_hash")) & set(ours), "a hash that nobody's seed is in can be looked for"
    written = tags.stored("xmin::text")
    assert tags.load(tag(1), tag(2)) == counts(unchanged=2)
    assert tags.stored("xmin::text") == written


def test_each_database_has_a_seed_of_its_own(tags: Hand) -> None:
    text = (FOLDER / "020_sync_seed.sql").read_text()
    seeds = set(tags.database.rows("select seed from sync.hash_seed"))
    assert seeds == {(tags.target.seed,)}

    def others(cursor: Any) -> None:
        for _ in range(3):
            cursor.execute("drop table sync.hash_seed; " + text + "select seed from sync.hash_seed")
            seeds.add(cursor.fetchone())
        cursor.connection.rollback()

    tags.database.transaction(others)
    assert len(seeds) == 4


def test_a_rewritten_row_keeps_when_it_was_first_seen(tags: Hand) -> None:
    tags.load(tag(1))
    [(born, synced)] = tags.stored("first_seen_at, synced_at")
    tags.load(tag(1, "b", T2))
    [(first_seen_at, synced_at)] = tags.stored("first_seen_at, synced_at")
    assert first_seen_at == born
    assert synced_at > synced


def test_volatile_parts_alone_change_nothing(hands: Callable[..., Hand]) -> None:
    users = hands("users", volatile=("last_request_date",))
    users.load(tag(1, last_request_date="monday"))
    assert users.load(tag(1, last_request_date="tuesday")) == counts(unchanged=1)
    assert users.load(tag(1)) == counts(unchanged=1)
    assert users.raw()[0]["last_request_date"] == "monday"
    assert users.load(tag(1, "b", T2, last_request_date="friday")) == counts(updated=1)
    assert users.raw()[0]["last_request_date"] == "friday"


def test_parts_that_a_read_omits_stay_and_parts_that_only_it_adds_are_dropped(tags: Hand) -> None:
    short = Whole("/tags", omits=("description", 'x", "y'))
    one = ById("/tags/{key}", adds=("files",))
    assert tags.load(tag(1, description="long", files=[1]), read=one) == counts(created=1)
    assert tags.raw() == [tag(1, description="long")]
    assert tags.load(tag(1), read=short) == counts(unchanged=1)
    assert tags.load(tag(1, "b", T2), read=short) == counts(updated=1)
    assert tags.raw() == [tag(1, "b", T2, description="long")]
    assert tags.load(tag(1, "b", T3, description=None), read=one) == counts(updated=1)
    assert tags.load(tag(2), read=short) == counts(created=1)
    assert tags.raw() == [tag(1, "b", T3, description=None), tag(2)]


def test_a_hash_counts_only_within_its_own_shape(tags: Hand) -> None:
    short, one = Whole("/tags", omits=("description",)), ById("/tags/{key}")
    tags.load(tag(1, description="long"), read=one)
    tags.load(tag(1), read=short)
    assert tags.stored("payload_shape") == [("list",)]
    # The same bytes now say that the description is gone.
    assert tags.load(tag(1), read=one) == counts(updated=1)
    assert tags.stored("raw_json, payload_shape") == [(tag(1), "one")]


def test_composite_keys_are_keys(hands: Callable[..., Hand]) -> None:
    stages = hands("stages", "worksection", read=LIST)
    rows = [{"project_id": p, "id": i, "title": f"{p}{i}"} for p, i in (("1", "a"), ("1", "b"), ("2", "a"))]
    assert stages.load(*rows) == counts(created=3)
    assert stages.load(*rows, rows[0]) == counts(unchanged=3, repeated=1)
    rows[1]["title"] = "new"
    assert stages.load(*rows) == counts(unchanged=2, updated=1)
    wrong = ({"project_id": "1"}, {"project_id": None, "id": "a"}, {"project_id": "1/2", "id": "a"}, {"id": ""})
    assert stages.load(*wrong) == counts(rejected=4)
    assert [r["title"] for r in stages.raw()] == ["1a", "new", "2a"]


@pytest.mark.parametrize("key", ["a/b", "a\tb\\n", "Ключ", "'; drop table x; --", "{1,2}", " "])
def test_s3_a_text_key_may_hold_anything(hands: Callable[..., Hand], key: str) -> None:
    projects = hands("projects", "worksection")
    assert projects.load({"id": key, "name": "a"}) == counts(created=1)
    assert projects.load({"id": key, "name": "a"}) == counts(unchanged=1)
    assert projects.load({"id": key, "name": "b"}) == counts(updated=1)
    assert projects.stored("id, name") == [(key, "b")]


@pytest.mark.parametrize("key", ["a\0b", "k" * 4000])
def test_v1_v6_a_text_key_that_no_index_holds_is_no_key(hands: Callable[..., Hand], key: str) -> None:
    assert hands("projects", "worksection").load({"id": key}, {"id": "1"}) == counts(created=1, rejected=1)


def test_what_comes_back_leaves_its_tombstone(tags: Hand) -> None:
    tags.database.query(
        "insert into sync.tombstones (account, entity, key, raw_json, evidence, first_seen_at, sync_id)"
        " values ('kaiten', 'tags', '1', '{}', 'gone', now(), 1), ('kaiten', 'tags', '2', '{}', 'gone', now(), 1)"
    )
    tags.load(tag(1))
    assert tags.database.rows("select key from sync.tombstones") == [("2",)]


def test_slowly_is_the_same_as_quickly(tags: Hand) -> None:
    tags.load(tag(1), tag(2), tag(3))
    later = (tag(1), tag(2, "b", T2), tag(3, "c", "2024-01-01T00:00:00Z"), tag(4))
    assert tags.load(*later, slow=True) == counts(created=1, updated=1, unchanged=1, stale=1)


def test_a_sync_that_finds_nothing_new_writes_no_row_and_little_log(make_company: Any, make_sandbox: Any) -> None:
    company = make_company(make_sandbox(cards=1000))
    company.synced()
    before = company.query("select id, xmin::text, ctid::text, synced_at from kaiten.cards order by id")
    [(start,)] = company.query("select pg_current_wal_insert_lsn()")
    totals = company.synced(only="cards")["cards"].totals
    [(written,)] = company.query("select pg_current_wal_insert_lsn() - %s::pg_lsn", [start])
    assert totals["unchanged"] == totals["fetched"] == len(before) == 1000
    assert company.query("select id, xmin::text, ctid::text, synced_at from kaiten.cards order by id") == before
    assert written < MEGABYTE
