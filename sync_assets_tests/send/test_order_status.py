"""A status that is set in Postgres arrives in the shop; what comes from the shop goes no way back."""

from sync_assets_tests.send.shop import Shop


def test_a_status_set_here_is_in_the_shop_and_the_mirror_after_one_delivery(shop: Shop) -> None:
    order = shop.ids[0]
    shop.here(order, "paid")
    assert shop.states() == ["pending"]
    assert shop.deliver().states == {"confirmed": 1}
    assert shop.status(order) == ("paid", "P")
    assert shop.updates() == [(order, "P")]
    ((raw,),) = shop.company.query("select status_id from bitrix.orders where id = %s", (order,))
    assert raw == "P", "the mirror holds what the read-back showed"
    shop.company.assert_ledger_adds_up()
