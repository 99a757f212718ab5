"""The product in small, run as a program: Postgres, children of several tempers, then waiting."""

import sys
from pathlib import Path

from sync_assets.postgres import EmbeddedPostgres
from sync_assets.processes import Stopped, Supervisor, exit_code

TEMPERS = {
    "polite": ["sleep", "1000"],
    "stubborn": ["sh", "-c", "trap '' INT TERM HUP; sleep 1000"],
    "parent": ["sh", "-c", "sleep 1000 & sleep 1000"],
}


def main(root: str, *tempers: str) -> int:
    try:
        with Supervisor() as supervisor:
            postgres = EmbeddedPostgres(Path(root), durable=False)
            supervisor.at_end(postgres.stop)
            print("STARTING", flush=True)
            postgres.start()
            for temper in tempers:
                supervisor.spawn(temper, TEMPERS[temper], grace=0.3)
            print("READY", flush=True)
            supervisor.watch()
    except Stopped as stopped:
        return exit_code(stopped.signum)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
