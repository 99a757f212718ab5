"""The shop of these tests."""

from sync_assets_tests.send.shop import at_point, open_shop, shop

__all__ = ["at_point", "open_shop", "shop"]
