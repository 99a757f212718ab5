"""Kaiten: its own way to say "wait", "not there" and "not in your tariff"."""

import time
from collections.abc import Callable

import httpx
import pytest

from sync_assets.account import connected_accounts
from sync_assets.errors import BadCredentials, Forbidden, NotFound, SyncError, WrongShape
from sync_assets.extract.dialect import Answer, Pause
from sync_assets.sandbox.server import Sandbox
from sync_assets.systems import SYSTEMS
from sync_assets.systems.kaiten.api import KaitenApi, KaitenSettings
from sync_assets_tests.company import Company
from sync_assets_tests.faults.recovery import failed


@pytest.fixture
def api() -> KaitenApi:
    env = {"KAITEN_API_URL": "https://example.kaiten.ru", "KAITEN_API_TOKEN": "t"}
    settings = connected_accounts(SYSTEMS, env)[0][0].settings
    assert isinstance(settings, KaitenSettings)
    return KaitenApi(settings)


def answer(status: int, body: bytes = b"", **headers: str) -> Answer:
    return Answer(status, httpx.Headers({name.replace("_", "-"): value for name, value in headers.items()}), body)


@pytest.mark.parametrize(
    ("headers", "least", "most"),
    [
        ({"x_ratelimit_reset": "7"}, 7, 7),
        ({"x_ratelimit_reset": "{epoch}"}, 6, 8),
        ({"x_ratelimit_reset": "7", "retry_after": "3"}, 3, 3),
        ({"x_ratelimit_reset": "soon"}, None, None),
        ({}, None, None),
    ],
    ids=["seconds", "epoch", "Retry-After wins", "nonsense", "absent"],
)
def test_the_reset_header_is_an_epoch_or_seconds(
    api: KaitenApi, headers: dict[str, str], least: float | None, most: float | None
) -> None:
    told = {name: value.format(epoch=int(time.time()) + 7) for name, value in headers.items()}
    with pytest.raises(Pause) as pause:
        api.check(answer(429, **told))
    seconds = pause.value.seconds
    assert seconds is None if least is None or most is None else seconds is not None and least <= seconds <= most


@pytest.mark.parametrize("reset", ["epoch", "seconds"])
def test_either_form_of_the_reset_header_is_waited_for(
    make_company: Callable[..., Company], make_sandbox: Callable[..., Sandbox], reset: str
) -> None:
    company = make_company(make_sandbox(switches={"kaiten.reset": reset, "kaiten.throttle_body": "empty"}))
    company.sandbox.faults.set("A1", path="/tags", times=1, retry_after="x", reset=reset)
    outcome = company.synced("full", only="tags")["tags"]
    assert 0 < outcome.totals["throttled_seconds"] < 4


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, b"Invalid token", BadCredentials),
        (402, b'{"message":"Feature is not supported by tariff"}', Forbidden),
        (403, b"", Forbidden),
        (404, b'{"message":"Not found"}', NotFound),
        (405, b"", NotFound),
        (400, b'{"message":"Invalid value"}', WrongShape),
        (200, b'{"error":"internal"}', WrongShape),
    ],
)
def test_a_refusal_is_what_it_is(api: KaitenApi, status: int, body: bytes, kind: type[SyncError]) -> None:
    with pytest.raises(kind):
        api.check(answer(status, body))


@pytest.mark.parametrize("spelling", ["403", "404"])
def test_a_card_that_is_not_there_is_gone_either_way(
    make_company: Callable[..., Company], make_sandbox: Callable[..., Sandbox], spelling: str
) -> None:
    company = make_company(make_sandbox(switches={"kaiten.missing_card": spelling}))
    company.synced("full")
    card = next(iter(company.sandbox.world.kaiten.cards))
    company.sandbox.world.kaiten.delete_card(card)
    outcome = company.synced("selective", only="cards", ids=(str(card),))["cards"]
    assert spelling in outcome.gone[str(card)]
    assert outcome.totals["deleted"] == 1
    company.synced("incremental", only="cards")  # its relatives
    company.assert_world_equals_postgres(copies=False)


def test_a_403_with_words_is_no_proof_that_a_card_is_gone(api: KaitenApi) -> None:
    assert api.gone(answer(403, b'{"message":"No access"}')) is None
    assert api.gone(answer(403, b"")) is not None
    assert api.gone(answer(200, b"{}")) is None


def test_a_revoked_token_is_refused_once_for_all_entities(company: Company) -> None:
    company.sandbox.faults.set("A11", status=401)
    done = company.sync("full")
    failed(done, "spaces", BadCredentials)
    assert all(isinstance(o, BadCredentials) for o in done.values())
    assert len(company.sandbox.requests) == 1


def test_subcolumns_are_columns_and_every_lane_is_there(grown: Company) -> None:
    columns = grown.rows("columns")
    assert any(row["column_id"] for row in columns)
    assert {row["condition"] for row in grown.rows("lanes")} == {1, 2, 3}
    assert not any("subcolumns" in row["raw_json"] for row in columns)


def test_the_views_show_the_names_of_today(grown: Company) -> None:
    kaiten = grown.sandbox.world.kaiten
    ((tag, before),) = grown.query("select tag_id, name from kaiten.card_tags order by 1 limit 1")
    kaiten.update("tags", tag, name="Renamed")
    grown.synced("incremental")
    assert grown.query("select distinct name from kaiten.card_tags where tag_id = %s", (tag,)) == [("Renamed",)]
    assert before != "Renamed"
