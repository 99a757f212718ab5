"""A delivery in a process of its own, which tests kill: `python -m sync_assets_tests.automation.delivering`."""

from sync_assets.account import connected_accounts
from sync_assets.send.deliver import deliver
from sync_assets.settings import sync_settings
from sync_assets.sync import connected
from sync_assets.systems import SYSTEMS

if __name__ == "__main__":
    account = next(a for a in connected_accounts(SYSTEMS)[0] if a.name == "kommo")
    with connected(account, sync_settings()) as connection:
        print(deliver(connection))
