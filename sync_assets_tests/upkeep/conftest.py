"""The companies of these tests."""

from sync_assets_tests.automation.ruling import open_ruled, ruled

__all__ = ["open_ruled", "ruled"]
