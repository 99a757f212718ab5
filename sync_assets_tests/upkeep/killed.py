"""A clean-up in a process of its own, in batches of two rows, which a test kills."""

from sync_assets.load.database import Database
from sync_assets.settings import sync_settings
from sync_assets.upkeep.clean_up import clean_up


def clean() -> None:
    settings = sync_settings()
    assert settings.database_url is not None
    database = Database(settings.database_url.get_secret_value())
    print(list(clean_up(database, settings, apply=True, at_once=2)))
