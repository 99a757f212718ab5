"""The company of these tests."""

from sync_assets_tests.automation.acting import acting, open_acting

__all__ = ["acting", "open_acting"]
