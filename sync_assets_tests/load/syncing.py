"""A full sync of Kaiten in a process of its own: python -m sync_assets_tests.load.syncing [entity ...]

The variables ACCOUNT and KIND ask for another. Prints one line per entity as it ends; SIGTERM stops it as an
orchestrator's cancel does.
"""

from __future__ import annotations

import os
import signal
import sys

from sync_assets.account import connected_accounts
from sync_assets.entity import in_sync_order
from sync_assets.errors import SyncError
from sync_assets.load import ledger
from sync_assets.settings import sync_settings
from sync_assets.sync import Request, connected, sync_entity
from sync_assets.systems import SYSTEMS


def stop(*_: object) -> None:
    raise SystemExit(143)


def main(only: list[str]) -> int:
    signal.signal(signal.SIGTERM, stop)
    env = dict(os.environ)
    ledger.WAIT_FOR_LEASE = float(env.get("WAIT_FOR_LEASE", ledger.WAIT_FOR_LEASE))
    account = next(a for a in connected_accounts(SYSTEMS, env)[0] if a.name == env.get("ACCOUNT", "kaiten"))
    failed = 0
    with connected(account, sync_settings(env)) as connection:
        for entity in in_sync_order(account.entities):
            if only and entity.name not in only:
                continue
            try:
                sync_entity(connection, entity, Request(env.get("KIND", "full"), run_id=env.get("RUN")))
                print(entity.name, "done", flush=True)
            except SyncError as e:
                failed += 1
                print(entity.name, type(e).__name__, e, flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
