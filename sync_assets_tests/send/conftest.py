"""The shop of these tests."""

from sync_assets_tests.send.shop import open_shop, shop

__all__ = ["open_shop", "shop"]
