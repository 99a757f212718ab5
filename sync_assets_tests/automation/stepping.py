"""Works off what is due in sequences in a process of its own, which tests kill.

`python -m sync_assets_tests.automation.stepping [seconds that the clock is ahead]`
"""

import sys
from datetime import UTC, datetime, timedelta

from sync_assets.account import connected_accounts
from sync_assets.automation.sequence_steps import work_off
from sync_assets.automation.sequences import definitions
from sync_assets.settings import sync_settings
from sync_assets.sync import connected
from sync_assets.systems import SYSTEMS

if __name__ == "__main__":
    account = next(a for a in connected_accounts(SYSTEMS)[0] if a.name == "kommo")
    settings = sync_settings()
    now = datetime.now(UTC) + timedelta(seconds=float(sys.argv[1])) if len(sys.argv) > 1 else None
    with connected(account, settings) as connection:
        print(work_off(connection.database, ["kommo"], definitions(settings.sync_automation_folder)[0], now=now))
