"""A company's SaaS data in its own Postgres, true to the source and provably so.

Decision: what would make each of its processes start slower is settled here, before anything else is imported.
"""

import gc
import sys

PACE = (10_000, 20, 50)
"""Of Python's collector. Modules are half a million objects that stay: walking them again and again was a sixth of a
run's CPU, and as much of loading the definitions."""

gc.set_threshold(*PACE)
# None ends an import: httpx would load its command line, with rich and pygments, which is about half of its time.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
