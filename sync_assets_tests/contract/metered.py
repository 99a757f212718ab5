"""A process that asks as fast as its budget lets it, run as a program: what the budget test starts several of."""

import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from sync_assets.account import connected_accounts
from sync_assets.settings import sync_settings
from sync_assets.sync import connected
from sync_assets.systems import SYSTEMS

if __name__ == "__main__":
    account, until = sys.argv[1], float(sys.argv[2])
    accounts = {a.name: a for a in connected_accounts(SYSTEMS, os.environ)[0]}
    with connected(accounts[account], sync_settings(os.environ)) as connection:

        def ask(_: int) -> int:
            asked = 0
            while time.time() < until:
                connection.door.ask("/users/current", {})
                asked += 1
            return asked

        with ThreadPoolExecutor(4) as threads:
            print(json.dumps({"asked": sum(threads.map(ask, range(4)))}))
