"""A worker in a process of its own: python -m sync_assets_tests.inbox.working; ACCOUNT names another than Kaiten.

It works until nothing is due and prints how many events it settled.
"""

from __future__ import annotations

import os
import time

from sync_assets.account import connected_accounts
from sync_assets.settings import sync_settings
from sync_assets.sync.look import Work
from sync_assets.sync.worker import Worker
from sync_assets.systems import SYSTEMS


def main() -> None:
    env = dict(os.environ)
    account = next(a for a in connected_accounts(SYSTEMS, env)[0] if a.name == env.get("ACCOUNT", "kaiten"))
    worker, work = Worker(account, sync_settings(env)), Work()
    worker.work_off(time.monotonic() + 30, work)
    worker.close()
    print(work.events, *work.problems, flush=True)


if __name__ == "__main__":
    main()
