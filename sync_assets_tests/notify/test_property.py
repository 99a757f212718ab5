"""Whatever happens in whatever order: nobody hears twice of one cause, nor of an end without its beginning."""

from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sync_assets.load.database import Database
from sync_assets.settings import sync_settings
from sync_assets_tests.notify.conftest import Book
from sync_assets_tests.notify.ear import Answer, Ear

CAUSES = ("one", "two", "three", "four", "five")
STEPS = st.lists(
    st.tuples(
        st.sets(st.sampled_from(CAUSES)),  # what is red
        st.sampled_from([200, 200, 200, 400, 429, 500]),  # what slack answers
        st.sampled_from([200, 200, 503]),  # what telegram answers
        st.sampled_from([1, 20, 300, 800]),  # minutes until the next look; less than a week in all
        st.booleans(),  # whether anybody is told at all, or the daemon dies before
    ),
    min_size=3,
    max_size=9,
)
NEVER = {"SYNC_ALERT_REMIND_HOURS": "0"}
QUIET = {"SYNC_ALERT_QUIET": "22:00-07:00"}


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, quiet=st.booleans())
def test_at_most_one_opening_and_one_end_and_no_end_without_its_opening(
    steps: list[tuple[set[str], int, int, int, bool]], quiet: bool, database_url: str, ear: Ear
) -> None:
    database = Database(database_url)
    try:
        database.query("delete from sync.alerts")
        database.query("delete from sync.alert_notifiers")
        ear.clear()
        book = Book(database, sync_settings({**ear.env(), **NEVER, **(QUIET if quiet else {})}))
        for red, slack, telegram, minutes, tells in steps:
            ear.says("slack", Answer(slack))
            ear.says("telegram", Answer(telegram, '{"ok": true}'))
            book.look(*(book.cause(name) for name in sorted(red)))
            if tells:
                book.tell()
            book.later(minutes=minutes)
        _hold(book, ear)

        # All is well for long enough: everybody hears the end of whatever he heard the beginning of, and no more.
        ear.answers.clear()
        for _ in range(3):
            book.now = (book.now + timedelta(days=1)).replace(hour=12)
            book.tick()
        _hold(book, ear)
        episodes = database.rows("select cause, count(*) from sync.alerts group by 1")
        for name, count in episodes:
            assert len(_ends(ear, "slack", name)) == len(_ends(ear, "telegram", name)) == count
        assert database.rows("select * from sync.alerts where recovered_at is null") == []
    finally:
        database.close()


def _hold(book: Book, ear: Ear) -> None:
    """What was heard is what the books say was told: no line more, none less; what is told in one has both times."""
    for notifier in ("slack", "telegram"):
        for name in CAUSES:
            openings, ends, episodes = book.database.query(TOLD, (notifier, name))
            told = _lines(ear, notifier, name)
            assert len(_ends(ear, notifier, name)) == ends <= episodes
            assert len(told) - ends == openings <= episodes
    wrong: Any = book.database.rows(
        "select * from sync.alert_notices where recovery_told_at < opening_told_at or lease_until is not null"
    )
    assert wrong == []


TOLD = """
select count(*) filter (where opening_told_at < coalesce(recovery_told_at, 'infinity')), count(recovery_told_at),
       count(*)
  from sync.alert_notices n join sync.alerts a on a.id = n.alert_id where n.notifier = %s and a.cause = %s
"""


def _lines(ear: Ear, notifier: str, name: str) -> list[str]:
    return [line for text in ear.texts(notifier) for line in text.split("\n") if f"check {name}" in line]


def _ends(ear: Ear, notifier: str, name: str) -> list[str]:
    return [line for line in _lines(ear, notifier, name) if "Over: " in line]
