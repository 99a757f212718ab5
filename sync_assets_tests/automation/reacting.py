"""Works off what is due by rules in a process of its own, which tests kill."""

from sync_assets.account import connected_accounts
from sync_assets.automation.reactions import Reactions
from sync_assets.settings import sync_settings
from sync_assets.systems import SYSTEMS

if __name__ == "__main__":
    print(Reactions(connected_accounts(SYSTEMS)[0], sync_settings()).react())
