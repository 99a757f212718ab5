"""What could not be sent: kept as ids alone, sent later as it is then, whatever was killed in between."""

import json

import pytest

from sync_assets_tests.integrations.site import Posted, Site

SAVED = ("sale", "OnSaleOrderSaved", {"ENTITY": 122001})


def test_while_the_receiver_is_away_ids_wait_and_the_state_of_then_is_sent(site: Site, receiver: Posted) -> None:
    receiver.statuses = [503] * 4
    site.hit(SAVED)
    assert len(receiver.bodies) == 4 and not receiver.events, "four tries"
    (waiting,) = site.queue
    assert {n: waiting[n] for n in ("kind", "id", "event")} == {"kind": "order", "id": 122001, "event": "update"}
    assert waiting.keys() == {"kind", "id", "event", "at"}
    for file in site.var.iterdir():
        assert "Buyer" not in file.read_text() and "9000" not in file.read_text()
    assert "sync_assets: the receiver answers 503" in site.log and "Buyer" not in site.log
    site.shop["orders"][0] = {**site.shop["orders"][0], "STATUS_ID": "F"}
    assert site.php("cron.php") == "1 sent, 0 waiting\n"
    assert json.loads(receiver.events[0].payload)["data"]["STATUS_ID"] == "F" and site.queue == []
    assert site.php("cron.php") == ""


def test_a_receiver_found_silent_is_left_in_peace_by_the_next_pages(site: Site, receiver: Posted) -> None:
    receiver.statuses = [503] * 4
    site.hit(SAVED)
    site.hit(SAVED)
    site.hit(("main", "OnAfterUserUpdate", {"ID": 171001, "RESULT": True}))
    assert len(receiver.bodies) == 4
    assert site.php("cron.php") == "2 sent, 0 waiting\n", "one record once"
    assert sorted(receiver.told()) == [("order.update", "122001"), ("user.update", "171001")]
    site.hit(SAVED)
    assert len(receiver.bodies) == 6, "it answers again"


@pytest.mark.parametrize(("answers", "posts", "sent"), [([503, 429], 3, True), ([401], 1, False), ([413], 1, False)])
def test_it_tries_again_where_that_may_help(
    site: Site, receiver: Posted, answers: list[int], posts: int, sent: bool
) -> None:
    receiver.statuses = answers
    site.hit(SAVED)
    assert len(receiver.bodies) == posts and bool(receiver.events) == sent == (not site.queue)
    assert len(set(receiver.bodies)) == 1, "the same event, for the receiver to know it again"


def test_w2_a_wrong_secret_is_refused_and_nothing_is_lost(site: Site, receiver: Posted) -> None:
    site.configure(url=receiver.url, secret="another-secret-of-more-than-32-characters")
    site.hit(SAVED)
    assert not receiver.events and len(site.queue) == 1 and "the receiver answers 401" in site.log
    site.configure(url=receiver.url)
    assert site.php("cron.php") == "1 sent, 0 waiting\n"


def test_an_answer_that_is_not_the_receivers_is_no_success(site: Site, receiver: Posted) -> None:
    receiver.statuses = [200] * 4
    site.hit(SAVED)
    assert len(site.queue) == 1 and "what answers is no receiver of ours" in site.log


def test_cron_stops_at_the_first_failure_and_keeps_the_rest(site: Site, receiver: Posted) -> None:
    site.var.mkdir()
    lines = [json.dumps({"kind": "order", "id": n, "event": "update"}) for n in range(1, 121)]
    (site.var / "queue.jsonl").write_text("\n".join([*lines, "{cut", '{"kind":"../x","id":1}', ""]))
    receiver.refuses = lambda _: 401 if len(receiver.bodies) > 1 else 0
    assert site.php("cron.php", status=1) == "50 sent, 70 waiting\n"
    assert [q["id"] for q in site.queue] == list(range(51, 121)) and len(receiver.bodies) == 2
    receiver.refuses = lambda _: 0
    assert site.php("cron.php") == "70 sent, 0 waiting\n"
    assert sorted(int(key) for _, key in receiver.told()) == list(range(1, 121))


def test_a_drain_that_was_killed_is_gone_on_with(site: Site, receiver: Posted) -> None:
    site.var.mkdir()
    (site.var / "queue.sending.jsonl").write_text('{"kind":"order","id":122001,"event":"update"}\n')
    (site.var / "queue.jsonl").write_text('{"kind":"product","id":501,"event":"update"}\n')
    assert site.php("cron.php") == "2 sent, 0 waiting\n"
    assert site.queue == [] and not (site.var / "queue.sending.jsonl").exists()


def test_an_import_of_many_goods_is_left_to_cron_and_arrives(site: Site, receiver: Posted) -> None:
    site.shop["elements"] = [{"ID": str(n), "IBLOCK_ID": "2", "NAME": f"n{n}"} for n in range(1, 701)]
    site.hit(*(("iblock", "OnAfterIBlockElementUpdate", {"ID": n, "IBLOCK_ID": 2}) for n in range(1, 701)))
    assert len(receiver.bodies) == 1 and len(site.queue) == 650
    assert site.php("cron.php") == "650 sent, 0 waiting\n"
    assert len({key for _, key in receiver.told()}) == 700


def test_the_export_goes_on_where_it_was_stopped(site: Site, receiver: Posted) -> None:
    site.shop["users"] = [{"ID": str(n), "NAME": f"n{n}"} for n in range(1, 8)]
    receiver.refuses = lambda _: 401 if len(receiver.bodies) > 2 else 0
    said = site.php("export.php", "users", "--size=2", status=1)
    assert said == "4 sent up to id 4, then: the receiver answers 401; run it again to go on\n"
    receiver.refuses = lambda _: 0
    assert site.php("export.php", "users", "--size=2") == "3 users sent\n"
    assert [e.key for e in receiver.events] == [str(n) for n in range(1, 8)]
    assert site.php("export.php", "users") == "7 users sent\n", "the next one is of everybody again"
    assert site.php("export.php", "products") == "2 products sent\n"
    site.php("export.php", "passwords", status=2)


def test_what_is_too_large_at_once_goes_in_halves(site: Site, receiver: Posted) -> None:
    site.shop["users"] = [{"ID": str(n), "NAME": "x" * 100} for n in range(1, 9)]
    receiver.refuses = lambda body: 413 if len(body) > 600 else 0
    assert site.php("export.php", "users") == "8 users sent\n"
    assert [e.key for e in receiver.events] == [str(n) for n in range(1, 9)]
