"""`sync-assets outbox`: what a person sees, and what a person does."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from typer.testing import CliRunner, Result

from sync_assets.cli import app
from sync_assets.errors import FixConfig, FixData
from sync_assets_tests.canary import Canary
from sync_assets_tests.send.shop import Open, Shop

Ask = Callable[..., Result]


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch, canary: Canary) -> Ask:
    """ask(shop, *words) -> what `sync-assets outbox` printed."""

    def run(shop: Shop, *words: str) -> Result:
        monkeypatch.setenv("SYNC_ASSETS_ENV_FILE", "/dev/null")
        for name, value in shop.company.env.items():
            monkeypatch.setenv(name, value)
        result = CliRunner().invoke(app, ["outbox", *words])
        canary.check("the output", result.output)
        return result

    return run


def test_list_shows_what_waits_and_what_was_given_up_and_show_why(shop: Shop, ask: Ask) -> None:
    dead, done, waits = shop.ids[:3]
    shop.here(dead, "refunded")
    shop.here(done, "paid")
    shop.deliver()
    shop.here(waits, "paid")
    found = json.loads(ask(shop, "list", "--json").output)["letters"]
    assert [(int(x["key"]), x["state"], x["wanted"]) for x in found] == [
        (waits, "pending", "crm_status paid"),
        (dead, "dead", "crm_status refunded"),
    ]
    assert "refunded" in ask(shop, "list").output and str(done) not in ask(shop, "list").output
    (one,) = json.loads(ask(shop, "list", "--state", "confirmed", "--json").output)["letters"]
    assert int(one["key"]) == done
    assert len(json.loads(ask(shop, "list", "--state", "any", "--json").output)["letters"]) == 3
    assert len(json.loads(ask(shop, "list", "--key", str(dead), "--json").output)["letters"]) == 1
    shown = json.loads(ask(shop, "show", str(one["id"])).output)
    assert (shown["sent"], shown["response"]["statusId"], shown["conflicts"]) == ({"statusId": "P"}, "P", [])
    assert isinstance(ask(shop, "show", "999999").exception, FixData)


def test_show_names_all_three_values_of_a_conflict(shop: Shop, ask: Ask) -> None:
    shop.here(shop.ids[0], "paid")
    shop.there(shop.ids[0], "F")
    shop.deliver()
    (one,) = json.loads(ask(shop, "list", "--state", "conflict", "--json").output)["letters"]
    (conflict,) = json.loads(ask(shop, "show", str(one["id"])).output)["conflicts"]
    assert (conflict["base"], conflict["theirs"], conflict["ours"]) == ("new", "completed", "paid")
    assert (conflict["decision"], conflict["why"]) == ("theirs", "completed is final")


def test_requeue_sends_again_what_was_given_up(shop: Shop, ask: Ask) -> None:
    order = shop.ids[0]
    shop.here(order, "refunded")
    shop.deliver()
    shop.company.query("insert into sync.status_map values ('bitrix', 'O', 'RF', 'refunded', true, true)")
    ((id,),) = shop.company.query("select id from sync.outbox")
    assert ask(shop, "requeue", str(id), "--by", "Anna").output == "1 are due again\n"
    shop.deliver()
    assert shop.status(order) == ("refunded", "RF")
    logged = shop.company.query("select details from sync.activity_logs where activity = 'outbox_requeued'")
    assert logged == [({"by": "Anna", "outbox_ids": [id]},)]
    assert ask(shop, "requeue", str(id), "--by", "Anna").output == "0 are due again\n", "what arrived is done"


def test_drop_lets_one_be_and_its_order_shows_the_shop_s_status(shop: Shop, ask: Ask) -> None:
    dropped, other = shop.ids[:2]
    shop.here(dropped, "paid")
    shop.here(other, "paid")
    ((id,),) = shop.company.query("select id from sync.outbox where key = %s", (str(dropped),))
    assert ask(shop, "drop", str(id), "--by", "Anna").output == "1 were dropped\n"
    shop.deliver()
    assert shop.status(dropped) == ("new", "N") and shop.status(other) == ("paid", "P")
    assert shop.letters(dropped) == [("dropped", "dropped by Anna")]
    shop.assert_at_rest()


def test_release_lets_out_what_blew_the_fuse(open_shop: Open, ask: Ask) -> None:
    shop = open_shop(SYNC_WAY_BACK_FUSE_PERCENT="30")
    shop.company.query("update bitrix.orders set crm_status = 'paid'")
    shop.deliver()
    assert "the fuse is blown: 12 of 12 records" in ask(shop, "list").output
    assert "goes on" in ask(shop, "release", "--account", "bitrix", "--by", "Anna").output
    assert shop.deliver().states == {"confirmed": 12}
    assert isinstance(ask(shop, "release", "--account", "bitrix_emea", "--by", "Anna").exception, FixConfig)


@pytest.mark.parametrize(
    "words",
    [("drop", "--by", "Anna"), ("drop", "1", "--account", "bitrix", "--by", "Anna"), ("drop", "1", "--by", " ")],
)
def test_nothing_is_done_to_all_or_by_nobody_by_mistake(shop: Shop, ask: Ask, words: tuple[str, ...]) -> None:
    assert isinstance(ask(shop, *words).exception, FixConfig)
    assert ask(shop, "drop", "1").exit_code == 2, "who asks is not optional"


def test_every_command_says_what_it_does(shop: Shop, ask: Ask) -> None:
    for name in ("list", "show", "requeue", "drop", "release"):
        assert len(ask(shop, name, "--help").output.split()) > 15
