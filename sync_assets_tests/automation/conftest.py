"""The companies of these tests."""

from sync_assets_tests.automation.acting import acting, open_acting
from sync_assets_tests.automation.ruling import open_ruled, ruled

__all__ = ["acting", "open_acting", "open_ruled", "ruled"]
