"""Another process that uses a cluster, run as a program: start it, say where it is, leave when told."""

import sys
import time
from pathlib import Path

from sync_assets.postgres import EmbeddedPostgres

if __name__ == "__main__":
    root, then = sys.argv[1:]
    postgres = EmbeddedPostgres(Path(root), durable=False)
    url = postgres.start()
    print(postgres.pid, postgres.data_directory, url, flush=True)
    if then == "sleep":
        time.sleep(100)
    sys.stdin.readline()
    postgres.stop()
